"""The prompts of real-270m, written for it. The two long ones are also the texts for perplexity and divergence."""

RIVER = """The survey party reached the upper valley in the second week of October, when the larches had already \
turned and the first snow lay on the north side of the pass. There were five of them: a hydrologist named Ines Calloway, \
two students who had never slept above the tree line, a driver who doubled as cook, and an elderly engineer who had built \
half of the gauging stations in the district and distrusted the other half. Their task was simple to state. Somewhere \
between the lake and the old mill, the river lost a fifth of its water, and nobody could say where it went.

On the first day they walked both banks with a tape and a notebook. The students measured the depth at every bridge, while \
Ines lowered a small propeller into the current and counted its turns against her watch. At the outlet of the lake the \
figure was four point one cubic metres per second. At the footbridge, two kilometres downstream, it was four point two, \
because a brook came in from the west. At the sawmill it was still four point two. At the old mill, however, where the \
valley narrows between two walls of grey limestone, the propeller turned so slowly that she thought a leaf had caught in \
it. She cleaned it and tried again. Three point three.

"You see," said the engineer, who had expected nothing else. "I told them in nineteen eighty-six. They built a fish ladder \
instead."

That evening they spread the map on the bonnet of the truck and drew a line around the stretch where the water went \
missing. It was less than a kilometre long. On the map there was nothing in it but a bend, a ruined chapel and a contour \
that made a small closed ring. Ines put her finger on the ring. A closed contour without a stream in it means a hollow, \
and a hollow that is not a lake means that whatever falls into it finds another way out.

They found the place the next morning by listening. Below the chapel the bank was undercut, and behind a curtain of roots \
the river was pouring, quite calmly, into the hill. The opening was no taller than a kitchen table. Cold air came out of \
it and smelled of stone. The younger student wanted to crawl in; the engineer took hold of her collar without a word. \
Instead they mixed a kilogram of green dye in a bucket, tipped it into the hole at ten minutes past nine, and drove down \
to the plain, where a spring feeds the trout ponds of a man who had complained for years that his water was cloudy after \
every storm.

They waited beside the ponds all day. The cook made soup. The owner of the trout came out twice to ask what colour his \
fish were going to be, and was told that the dye was harmless, which did not seem to comfort him. At six in the evening it \
was too dark to see, so they took a sample every half hour and held it against a lamp. At a quarter to eleven the glass \
was clear. At a quarter past eleven it was clear. At a quarter to twelve the older student held up the bottle, turned it \
slowly, and said nothing at all, because there was no need. In the light of the lamp the water glowed like a leaf in May.

Fourteen hours and thirty-five minutes, for a distance of six kilometres in a straight line. Ines wrote it down. Then she \
drew an arrow on the map, from the chapel to the ponds, straight through a mountain on which three villages, one railway \
and the only hospital of the district depended for their wells, and under the arrow she wrote a question mark."""

MANUAL = """# Keeping a sourdough starter

A starter is a jar of flour and water in which wild yeast and lactic bacteria live together. It needs three things: food, \
warmth and a routine. This page explains the routine, lists what can go wrong, and ends with a small program that works \
out the amounts.

## Feeding

1. Weigh what you have. Call it `s` grams.
2. Throw away all but a fifth of it, or bake pancakes with the rest.
3. Add the same weight of water at 28 °C and the same weight of flour, so that the parts are 1:1:1.
4. Stir until no dry flour is left, mark the level with a rubber band, and put the lid on loosely.

At 24 °C the level doubles in five to six hours; at 18 °C it takes ten. If nothing has happened after a day, the jar is \
too cold, the flour is too old, or the tap water contains too much chlorine. Let a jug of water stand open overnight and \
try again.

| Sign | What it means | What to do |
|---|---|---|
| Grey liquid on top | hungry | pour it off, feed twice a day |
| Smell of nail varnish | very hungry, too warm | feed 1:3:3, move to a cooler shelf |
| Pink or orange streaks | spoiled | throw everything away, boil the jar |
| Bubbles, but no rise | too wet | use 10 % less water |

## Auf Deutsch, kurz

Wer das Glas im Kühlschrank aufbewahrt, füttert nur einmal in der Woche. Am Abend vor dem Backen nimmt man einen Löffel \
davon, rührt ihn mit 50 g Wasser und 50 g Mehl an und lässt ihn über Nacht bei Zimmertemperatur stehen. Riecht er am \
Morgen mild und fruchtig, ist er bereit; riecht er scharf, braucht er noch eine Fütterung.

## En français, en bref

Le levain n'aime ni la hâte ni le froid. Si la pâte colle aux doigts, attendez vingt minutes avant d'ajouter de la farine : \
elle boit lentement, et ce qui paraît trop humide à midi est souvent parfait à une heure.

## The program

```python
from dataclasses import dataclass

@dataclass
class Feed:
    keep: float      # grams of old starter
    water: float
    flour: float

def feed(needed: float, ratio=(1, 1, 1), spare: float = 20.0) -> Feed:
    \"\"\"Amounts that give `needed` grams for the dough and `spare` grams to carry on with.\"\"\"
    if needed < 0 or spare <= 0:
        raise ValueError("needed must not be negative and spare must be positive")
    total = needed + spare
    part = total / sum(ratio)
    return Feed(*(round(r * part, 1) for r in ratio))

if __name__ == "__main__":
    plan = feed(250, ratio=(1, 2, 2))
    print(f"keep {plan.keep} g, add {plan.water} g water and {plan.flour} g flour")
```

Running it prints `keep 54.0 g, add 108.0 g water and 108.0 g flour`. The sum is 270 g: 250 g for the dough, 20 g for the \
next jar. Change the ratio to `(1, 5, 5)` in summer, when the kitchen is above 28 °C, and to `(1, 1, 1)` in winter."""

# name, text, whether every position is kept
PROMPTS = [
    ("short", "Water boils at a lower temperature in the mountains because", False),
    ("code", "// Returns the largest element of a non-empty span.\ntemplate <class T>\nconst T& largest(std::span<const T> "
             "values) {\n  const T* best = &values[0];\n  for (", False),
    ("river", RIVER, True),
    ("manual", MANUAL, True),
    ("languages", "Der Zug nach Köln fährt um 14:35 Uhr ab. 電車は遅れています。 Поезд опоздал на час. القطار متأخر 🚆 —", False),
    ("chat", "<start_of_turn>user\nWhich planet is closest to the sun?<end_of_turn>\n<start_of_turn>model\n", False),
]
