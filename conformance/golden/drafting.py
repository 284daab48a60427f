"""Drafters (multi-token prediction assistants): greedy speculative decoding, four drafts per round.

A drafter has no keys of its own. It reads those of the target's last storing layer of each type, keeps one position
for all drafts of a round, and carries its own output from draft to draft. README.md has the exact order of things.
"""

import json

import torch
import transformers

from . import folder, mistakes, reference

DRAFTS = 4


def source_layers(target):
    """The last layer of each type that has keys of its own."""
    return {a.layer_type: a.layer_idx for a in mistakes.attentions(target) if not a.is_kv_shared_layer}


def run_target(target, ids, dtype):
    sources = source_layers(target)
    values = reference.forward(target, ids, inner=tuple(sources.values()), dtype=dtype)
    shared = {kind: tuple(values[f"attn.{i}.{what}"].transpose(0, 1)[None] for what in ("key", "value"))
              for kind, i in sources.items()}
    return values["logits"], values["final_norm"], shared


def draft_step(drafter, inputs, position, shared, dtype):
    seen = {}
    hooks = [reference.text_model(drafter).norm.register_forward_hook(lambda m, a, out: seen.update(norm=out))]
    if drafter.masked_embedding is not None:
        hooks.append(drafter.masked_embedding.centroids.register_forward_hook(
            lambda m, a, out: seen.update(centroids=out)))
    with reference.arithmetic(dtype):
        out = drafter(inputs_embeds=inputs[None, None], position_ids=torch.tensor([[position]]),
                      shared_kv_states=shared)
    for hook in hooks:
        hook.remove()
    row = {"draft.inputs": inputs, "draft.final_norm": seen["norm"][0, 0], "draft.logits": out.logits[0, 0],
           "draft.ids": out.logits[0, 0].argmax(), "draft.carried": out.last_hidden_state[0, 0]}
    if "centroids" in seen:
        scores = seen["centroids"][0, 0]
        row["draft.centroid_logits"] = scores
        row["draft.centroid_index"] = scores.topk(drafter.config.centroid_intermediate_top_k).indices
    return row


def speculate(target, drafter, prompt, count, dtype=torch.float32):
    """Tensors of every round until `count` tokens are there, and the tokens."""
    embed = reference.text_model(target).embed_tokens
    logits, _, _ = run_target(target, prompt, dtype)
    tokens = torch.cat([prompt, logits[-1].argmax()[None]])
    rounds = []
    while len(tokens) - len(prompt) < count:
        n = len(tokens) - 1
        _, norm, shared = run_target(target, tokens[:n], dtype)
        token, carried, steps = tokens[n], norm[n - 1], []
        for _ in range(DRAFTS):
            steps.append(draft_step(drafter, torch.cat([embed(token), carried]), n, shared, dtype))
            token, carried = steps[-1]["draft.ids"], steps[-1]["draft.carried"]
        row = {name: torch.stack([s[name] for s in steps]) for name in steps[0]}
        verify = run_target(target, torch.cat([tokens, row["draft.ids"]]), dtype)[0][n:]
        choices = verify.argmax(-1)
        agree = (choices[:DRAFTS] == row["draft.ids"]).long()
        accepted = int(agree.cumprod(0).sum())
        row.update({"verify.logits": verify, "round.position": torch.tensor(n), "round.first_id": tokens[n],
                    "round.accepted": torch.tensor(accepted), "round.next_id": choices[accepted]})
        tokens = torch.cat([tokens, choices[:accepted + 1]])
        rounds.append(row)
    stacked = {name: torch.stack([r[name] for r in rounds]) for name in rounds[0]}
    return stacked, tokens[len(prompt):len(prompt) + count]


# ---------------------------------------------------------------------------------------------------------------------
# making one


def write_drafter(where, row):
    """Four layers with the target's head sizes and KV heads, as released drafters have them."""
    target = row.settings
    text = {**target, "hidden_size": row.drafter["hidden_size"], "intermediate_size": row.drafter["intermediate_size"],
            "num_hidden_layers": 4, "num_kv_shared_layers": 4,
            "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "final_logit_softcapping": None,
            "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0, "use_double_wide_mlp": False}
    folder.write_config(where, "Gemma4ForCausalLM", text, spelling=row.spelling, dtype=row.dtype)
    config = json.loads((where / "config.json").read_text())
    version = config.pop("transformers_version")
    for key in ("architectures", "dtype"):
        config.pop(key)
    ordered = "centroids" in row.drafter
    config = {"architectures": ["Gemma4AssistantForCausalLM"], "model_type": "gemma4_assistant",
              "backbone_hidden_size": target["hidden_size"], "use_ordered_embeddings": ordered,
              "num_centroids": row.drafter.get("centroids", 2048),
              "centroid_intermediate_top_k": row.drafter.get("top", 32), "tie_word_embeddings": True,
              "dtype": row.dtype, "text_config": config, "transformers_version": version}
    (where / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    drafter = transformers.Gemma4AssistantForCausalLM(transformers.AutoConfig.from_pretrained(where))
    folder.draw_weights(drafter, row.seed + 1000, one_plus_weight=False)
    if ordered:
        order = torch.randperm(target["vocab_size"], generator=torch.Generator().manual_seed(row.seed))
        drafter.masked_embedding.token_ordering.copy_(order)
    return drafter


def train(where, row, drafter, target, tokens, first):
    """A random drafter is never accepted. A few steps on this one continuation make some drafts right and leave others
    wrong; yields after every few steps, with the weights written."""
    embed = reference.text_model(target).embed_tokens
    _, norm, _ = run_target(target, tokens, torch.float32)
    cases = [(n, run_target(target, tokens[:n], torch.float32)[2]) for n in range(first, len(tokens) - DRAFTS)]
    cluster = None
    if drafter.masked_embedding is not None:
        size = drafter.masked_embedding.vocab_size_per_centroid
        cluster = torch.empty(len(drafter.masked_embedding.token_ordering), dtype=torch.long)
        cluster[drafter.masked_embedding.token_ordering] = torch.arange(len(cluster)) // size
    parameters = [p.requires_grad_(True) for p in drafter.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=4e-3)
    loss_of = torch.nn.functional.cross_entropy
    states = {}
    reference.text_model(drafter).norm.register_forward_hook(lambda m, a, out: states.update(norm=out))
    for step in range(400):
        with torch.enable_grad():
            loss = 0.0
            for n, shared in cases:
                carried = norm[n - 1]
                for k in range(DRAFTS):
                    inputs = torch.cat([embed(tokens[n + k]), carried])
                    out = drafter(inputs_embeds=inputs[None, None], position_ids=torch.tensor([[n]]),
                                  shared_kv_states=shared)
                    carried, goal = out.last_hidden_state[0, 0], tokens[n + k + 1]
                    h = states["norm"][0, 0]
                    loss = loss + loss_of(drafter.lm_head(h)[None], goal[None])
                    if cluster is not None:
                        loss = loss + loss_of(drafter.masked_embedding.centroids(h)[None], cluster[goal][None])
            loss = loss / len(cases) / DRAFTS
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 2 == 1:
            folder.save_weights(where, drafter, row.dtype)
            yield float(loss)


def gap_among_first(scores, k):
    ordered = scores.sort(-1, descending=True).values
    return float((ordered[..., :k] - ordered[..., 1:k + 1]).min())


def case(row, out, ids, greedy_checks, caught, tight, unsuitable):
    target, wide = reference.load(out), reference.load(out, torch.float64)
    values, exact = reference.forward(target, ids), reference.forward(wide, ids, dtype=torch.float64)
    chosen, logits, exact_logits, checks = greedy_checks(row, target, wide, ids, None)
    expected = folder.Expected()
    expected.input("input_ids", ids)
    expected.all(values, exact)
    tight(expected)
    expected.exact("greedy_ids", chosen)
    expected.real("greedy_logits", logits, exact_logits)

    where = out / "assistant"
    drafter = write_drafter(where, row)
    tokens = torch.cat([ids, chosen])
    for loss in train(where, row, drafter, target, tokens, len(ids)):
        read, read_wide = reference.load(where), reference.load(where, torch.float64)
        rounds, said = speculate(target, read, ids, row.new)
        if not torch.equal(said, chosen):
            raise SystemExit(f"{out.name}: speculative decoding changed the answer")
        accepted = rounds["round.accepted"].tolist()
        enough = DRAFTS in accepted and min(accepted) <= 1 and len(set(accepted)) >= 3 and len(accepted) <= row.new // 3
        if not enough:
            if min(accepted) >= 2:
                raise unsuitable(f"accepted {accepted} after training")
            continue
        margin = float(smallest_margin(rounds["draft.logits"]))
        rounds64, _ = speculate(wide, read_wide, ids, row.new, torch.float64)
        same = rounds64["draft.ids"].shape == rounds["draft.ids"].shape and all(
            torch.equal(rounds[k], rounds64[k]) for k in rounds if not rounds[k].dtype.is_floating_point)
        gap = gap_among_first(rounds["draft.centroid_logits"], row.drafter["top"]) if "top" in row.drafter else 1.0
        if margin >= 0.02 and gap >= 5e-4 and same:
            break
    else:
        raise unsuitable("no training step gave a mixture of accepted and rejected drafts")

    expected.exact("speculative_ids", said)
    for name in sorted(rounds):
        if rounds[name].dtype.is_floating_point:
            expected.real(name, rounds[name], rounds64[name])
        else:
            expected.exact(name, rounds[name])
    checks.update({"speculative_equals_greedy": True, "accepted": accepted, "training_loss": folder.digits(loss),
                   "draft_min_top2_margin": folder.digits(margin)})
    if "top" in row.drafter:
        checks["centroid_min_gap_among_the_chosen"] = folder.digits(gap)
    checks["key_value_source_layers"] = source_layers(target)
    checks["mistakes"] = caught(row, out, lambda m: reference.forward(m, ids),
                                {k: v for k, v in expected.outputs.items() if k in values})
    checks["drafter_mistakes"] = drafter_mistakes(target, where, rounds, ids, tokens, expected.outputs["draft.logits"])
    return expected, checks


def smallest_margin(logits):
    best = logits.topk(2, dim=-1).values
    return (best[..., 0] - best[..., 1]).min()


def drafter_mistakes(target, where, rounds, prompt, tokens, about):
    """What the first draft of a round becomes when the round is set up wrongly."""
    embed = reference.text_model(target).embed_tokens
    found = {}

    def first_drafts(prepare, change=lambda drafter: None):
        drafter, worst = reference.load(where), 0.0
        change(drafter)
        for r, n in enumerate(rounds["round.position"].tolist()):
            _, norm, shared = run_target(target, tokens[:n], torch.float32)
            set_up = dict(token=embed(tokens[n]), carried=norm[n - 1], position=n, shared=shared)
            set_up.update(prepare(n, norm, shared))
            out = draft_step(drafter, torch.cat([set_up["token"], set_up["carried"]]), set_up["position"],
                             set_up["shared"], torch.float32)
            worst = max(worst, float((out["draft.logits"] - rounds["draft.logits"][r, 0]).abs().max()))
        return worst

    def window(by):
        def change(drafter):
            reference.text_model(drafter).config.sliding_window += by
        return change

    width = reference.text_model(target).config.hidden_size
    shorter = lambda shared: {k: (a[:, :, :-1], b[:, :, :-1]) for k, (a, b) in shared.items()}  # noqa: E731
    cases = {
        "position_of_the_last_verified_token": (lambda n, norm, shared: {"position": n - 1}, None),
        "target_embedding_unscaled": (lambda n, norm, shared: {"token": embed(tokens[n]) / width**0.5}, None),
        "halves_of_the_input_exchanged": (
            lambda n, norm, shared: {"token": norm[n - 1], "carried": embed(tokens[n])}, None),
        "carried_state_of_another_position": (lambda n, norm, shared: {"carried": norm[n - 2]}, None),
        "newest_key_missing": (lambda n, norm, shared: {"shared": shorter(shared)}, None),
        "window_one_shorter": (lambda n, norm, shared: {}, window(-1)),
        "window_one_longer": (lambda n, norm, shared: {}, window(1)),
    }
    for name, (prepare, change) in cases.items():
        worst = first_drafts(prepare, change or (lambda drafter: None))
        if worst < 25 * about["atol"]:
            raise SystemExit(f"{where}: {name} changes a first draft by {worst:.3g} only, tolerance {about['atol']}")
        found[name] = folder.digits(worst)
    return found
