"""One mistake at a time in the NumPy engine is found, and the first tensor to diverge is the one where it is made."""

import tempfile
import types
import unittest
from pathlib import Path

from g4_conformance import cases
from g4_conformance.engines import Outcome
from g4_conformance.expected_failures import ExpectedFailures
from g4_conformance.run import case_result

SOURCE = Path(__file__).parent.parent / "examples" / "gemma3_numpy.py"

# What is planted, the case, the text, what takes its place, the first tensor that shows it and the first of its rows.
MISTAKES = [
    ("window one longer", "gemma3-270m", "(ahead > -reach)", "(ahead >= -reach)", "attn.0.out", 8),
    ("window one shorter", "gemma3-270m", "(ahead > -reach)", "(ahead > 1 - reach)", "attn.0.out", 7),
    ("window missing", "gemma3-270m", "& (ahead > -reach)", "", "attn.0.out", 8),
    ("not causal", "gemma3-270m", "(ahead <= 0)", "(ahead <= 1)", "attn.0.out", 0),
    ("norm without one", "gemma3-270m", '(1 + w[f"{name}.weight"])', 'w[f"{name}.weight"]', "attn.0.query", 0),
    ("norm keeps the mean", "gemma3-270m", "np.mean(x * x,", "np.var(x,", "attn.0.query", 0),
    ("epsilon of another model", "gemma3-270m", "dtype(eps)", "dtype(1e-2)", "attn.0.query", 0),
    ("embedding unscaled", "gemma3-270m", " * dtype(np.sqrt(D))", "", "embed", 0),
    ("rope bases exchanged", "gemma3-270m", "ropes[kind]) for", 'ropes["full_attention"]) for', "attn.0.query", 1),
    ("rope of neighbouring pairs", "gemma3-270m", "a, b = np.split(x, 2, -1)", "a, b = x[..., ::2], x[..., 1::2]", "attn.0.query", 0),
    ("rope turned backwards", "gemma3-270m", "a * cos - b * sin, b * cos + a * sin", "a * cos + b * sin, b * cos - a * sin", "attn.0.query", 1),
    ("rope factor dropped", "gemma3-4b", ' / rope.get("factor", 1)', "", "hidden.5", 1),
    ("query norm dropped", "gemma3-270m", 'turned(norm(z, part + f"self_attn.{n}_norm")', 'turned(z if n == "q" else norm(z, part + f"self_attn.{n}_norm")', "attn.0.query", 0),
    ("key norm dropped", "gemma3-270m", 'turned(norm(z, part + f"self_attn.{n}_norm")', 'turned(z if n == "k" else norm(z, part + f"self_attn.{n}_norm")', "attn.0.key", 0),
    ("query scale from the head size", "gemma3-27b", 'np.sqrt(c["query_pre_attn_scalar"])', "np.sqrt(d)", "hidden.0", 1),
    ("scores unscaled", "gemma3-270m", ' / dtype(np.sqrt(c["query_pre_attn_scalar"]))', "", "attn.0.out", 1),
    ("heads grouped the other way", "gemma3-4b", "np.repeat(v, H // K, 1)", "np.tile(v, (1, H // K, 1))", "hidden.0", 0),
    ("score cap dropped", "gemma3-attention-cap", 'cap(score, c.get("attn_logit_softcapping"))', "score", "hidden.0", 1),
    ("logits' cap dropped", "gemma3-odd", ', c.get("final_logit_softcapping"))', ", None)", "logits", 0),
    ("biases dropped", "gemma3-odd", ' + w.get(f"{name}.bias", 0)', "", "hidden.0", 0),
    ("head taken from the embedding", "gemma3-odd", 'w.get("lm_head.weight", w["embed_tokens.weight"])', 'w["embed_tokens.weight"]', "logits", 0),
    ("gelu by its sigmoid", "gemma3-270m", "0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))", "x / (1 + np.exp(-1.702 * x))", "mlp.0.out", 0),
    ("gate and up exchanged", "gemma3-270m", "gelu(linear(y, part + \"mlp.gate_proj\")) * linear(y, part + \"mlp.up_proj\")",
     "gelu(linear(y, part + \"mlp.up_proj\")) * linear(y, part + \"mlp.gate_proj\")", "mlp.0.out", 0),
    ("norm after attention dropped", "gemma3-270m", 'norm(linear(out, part + "self_attn.o_proj"), part + "post_attention_layernorm")',
     'linear(out, part + "self_attn.o_proj")', "mlp.0.out", 0),
    ("norm after the feed-forward dropped", "gemma3-270m", 'x + norm(y, part + "post_feedforward_layernorm")', "x + y", "hidden.0", 0),
    ("images causal", "gemma3-image-mask", "((ahead <= 0) | together)", "(ahead <= 0)", "hidden.0", None),
    ("the window holds for images ahead too", "gemma3-image-mask", "together) & (ahead > -reach)", "together) & (abs(ahead) < 3)", "hidden.0", None),
    ("encoder causal", "embeddinggemma", "(abs(ahead) < reach)", "(abs(ahead) < reach) & (ahead <= 0)", "hidden.0", 0),
    ("encoder's window not halved", "embeddinggemma", 'c["sliding_window"] // 2 + 1 if encodes else ', "", "hidden.0", None),
    ("pooling by the last row", "embeddinggemma", '["final_norm"].mean(0)', '["final_norm"][-1]', "pooled", None),
    ("vector not of length 1", "embeddinggemma", "v / np.sqrt(v @ v)", "v", "embedding", None),
    ("continuation from the row before", "gemma3-270m", '["logits"][-1])', '["logits"][-2])', "greedy_logits", 0),
    ("far positions begin at 0", "gemma3-long", 'inputs["offset.position_ids"])', 'inputs["offset.position_ids"] % 7)', "offset.logits", None),
]


# Those that the reference was made to make as well, under its name for them: the hint has to have them.
HINTS = {name: name for name in ("window one longer", "window one shorter", "window missing", "embedding unscaled", "rope bases exchanged",
                                 "query norm dropped", "key norm dropped", "head taken from the embedding")}
HINTS |= {"norm without one": "norm of the other flavour", "rope factor dropped": "rope scaling dropped", "biases dropped": "attention bias dropped",
          "query scale from the head size": "query scaled by head size", "heads grouped the other way": "query heads grouped the other way",
          "score cap dropped": "attention soft cap dropped", "logits' cap dropped": "final soft cap dropped", "images causal": "image positions causal"}


def engine_of(text):
    made = types.ModuleType("engine")
    exec(compile(text, str(SOURCE), "exec"), made.__dict__)
    return made.engine


def result_of(engine, case):
    with tempfile.TemporaryDirectory() as place:
        made = engine(str(case.stage(Path(place))))
    return case_result(case, Outcome(made), ExpectedFailures())


class Mistakes(unittest.TestCase):
    def test_the_engine_without_one_passes_every_text_case_of_gemma_3(self):
        engine = engine_of(SOURCE.read_text())
        chosen = cases.select([], ["text", "long"], ["gemma3"])
        self.assertGreaterEqual(len(chosen), 10)
        for case in chosen:
            with self.subTest(case.name):
                found = result_of(engine, case)
                self.assertEqual((found.verdict, found.why, found.missing), ("passed", "", []))
                self.assertLess(found.worst.ratio, 0.5)

    def test_the_first_row_tells_a_window_from_all_else(self):
        text = SOURCE.read_text()
        for wrong, said in (("(ahead >= -reach)", ["window one longer", "window missing"]), ("(ahead > 1 - reach)", ["window one shorter"])):
            found = result_of(engine_of(text.replace("(ahead > -reach)", wrong)), cases.select(["gemma3-1b"])[0])
            self.assertEqual((found.first, sorted(found.begins_like), found.place),
                             ("hidden.0", sorted(said), "layer 0 is a sliding layer; the window is 9 wide"))
        found = result_of(engine_of(text.replace(" / dtype(np.sqrt(c[\"query_pre_attn_scalar\"]))", "")), cases.select(["gemma3-1b"])[0])
        self.assertEqual(found.first, "hidden.0")
        self.assertIn("query norm dropped", found.begins_like)
        self.assertFalse([name for name in found.begins_like if "window" in name])
        self.assertEqual(found.place, "layer 0 is a sliding layer")

    def test_a_hint_is_of_the_part_that_is_off_and_not_of_those_that_agree(self):
        text = SOURCE.read_text()
        for wrong, right, hints in (
                ('turned(z if n == "k" else norm(z, part + f"self_attn.{n}_norm")', 'turned(norm(z, part + f"self_attn.{n}_norm")', ["norm of the other flavour", "key norm dropped"]),
                ('ropes["full_attention"]) for', "ropes[kind]) for", ["rope bases exchanged"]),
                ("x / (1 + np.exp(-1.702 * x))", "0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))", ["gelu by erf"])):
            self.assertEqual(result_of(engine_of(text.replace(right, wrong)), cases.select(["gemma3-270m"])[0]).begins_like, hints)

    def test_every_mistake_is_among_those_that_begin_where_it_was_seen_to(self):
        for case in cases.every():
            for name, of in ({} if case.needs_weights or case.is_operation else case.about.get("checks", {}).get("mistakes", {})).items():
                if of.get("first"):
                    parts = [tensor for tensor in case.outputs if cases.stage(tensor) == cases.stage(of["first"])]  # an engine that shows little
                    self.assertIn(name.replace("_", " "), case.begins_like(parts), case.name)

    def test_the_first_layer_of_its_kind_is_called_that(self):
        case = cases.select(["gemma4-e2b"])[0]
        self.assertEqual(case.place("attn.4.key", 1), "layer 4 is the first full layer")
        self.assertEqual(case.place("hidden.10", 0), "layer 10 is a sliding layer and the first that reads the keys of an earlier one")
        self.assertEqual(case.place("hidden.14", 8), "layer 14 is a full layer and the last; the window is 8 wide")
        self.assertIn("steps through the cache", case.place("greedy_logits", 1))

    def test_one_at_a_time_is_found_where_it_is_made(self):
        text = SOURCE.read_text()
        for name, case, right, wrong, first, row in MISTAKES:
            with self.subTest(name):
                self.assertEqual(text.count(right), 1, "the engine's text has changed")
                found = result_of(engine_of(text.replace(right, wrong)), cases.select([case])[0])
                self.assertEqual((found.verdict, found.first), ("failed", first))
                if name in HINTS:
                    self.assertIn(HINTS[name], found.begins_like)
                if row is not None:
                    self.assertEqual(next(f for f in found.findings if f.tensor == first).first_row, row)


if __name__ == "__main__":
    unittest.main()
