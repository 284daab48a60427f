"""The command line: g4-conformance list | run | report | compare | table | real."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import NotApplicable, cases, engines, expected_failures, judge, junit, page, results, text
from .run import run
from .version import VERSION

_ABOUT = """\
Conformance suite for engines that run the Gemma models.

  g4-conformance list
  g4-conformance run --program ./engine
  g4-conformance run --program ./engine --level text --family gemma3 --html report.html
  g4-conformance run --engine my_module:Engine gemma3-270m 'gemma4-*'

A program is called as `engine CASE_DIR OUT.safetensors`. It reads the case's config.json, model.safetensors and, from
expected.safetensors, the inputs; it writes the tensors that it has under the names of README.md, and ends with status 0,
or 77 where it does not claim to run such a model, with the reason as its last line.
A class has run(case), which returns a dict of arrays, or raises g4_conformance.NotApplicable.

Exit status: 0 when nothing failed, 1 when something did, 2 when the command itself was wrong."""


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="g4-conformance", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"g4-conformance {VERSION}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def of_cases(p):
        p.add_argument("cases", nargs="*", metavar="CASE", help="names, patterns or folders; default: every case")
        p.add_argument("--level", action="append", default=[], help=f"only cases of this level: {', '.join(cases.LEVELS)}")
        p.add_argument("--family", action="append", default=[], help="only cases of this family: gemma3, gemma3n, gemma4")

    def command(name, help, more=""):
        text = f"{help[0].upper()}{help[1:]}.{' ' if more[:1].strip() else ''}{more}"
        return commands.add_parser(name, help=help, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)

    p = command("list", "the cases, level by level", "An engine conforms at a level when it passes every case of it.")
    of_cases(p)
    p.add_argument("--tensors", action="store_true", help="and what is expected of each, in the order data flows")

    p = command("run", "run an engine and compare", "Where it fails, the first tensor that diverged is named, in order of data.")
    of_cases(p)
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--program", metavar="COMMAND", help="the engine, called as COMMAND CASE_DIR OUT.safetensors")
    which.add_argument("--engine", metavar="MODULE:CLASS", help="an engine in Python")
    p.add_argument("--xfail", metavar="FILE", help="failures that are known: CASE [TENSOR]  # why, one a line")
    p.add_argument("--budget", choices=judge.BUDGETS, default="float32", help="rounded: for arithmetic that rounds on purpose")
    p.add_argument("--lend-soft-tokens", action="store_true", help="give the engine the rows of images and sounds: it has no towers")
    p.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="per case; default 300")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="cases at a time; default 1")
    p.add_argument("--name", help="what reports call the engine, its version with it")
    p.add_argument("--keep", metavar="FOLDER", help="keep what the engine wrote, CASE.safetensors each")
    _of_reports(p)

    p = command("report", "show results that a run wrote with --json")
    p.add_argument("results", metavar="RESULTS.json", help="what `run --json` wrote")
    _of_reports(p, again=False)

    p = command("compare", "what changed between two results; status 1 where something got worse")
    p.add_argument("old", metavar="OLD.json", help="what `run --json` wrote before")
    p.add_argument("new", metavar="NEW.json", help="what it wrote now")

    real_levels = ("text", "long", "pictures", "sound")
    p = command("real", "an engine beside transformers on released weights, layer by layer",
                "\nNeeds transformers: pip install 'g4-conformance[transformers]'. The engine is called as for `run`.\n\n"
                "  g4-conformance real --checkpoint gemma-3-270m/ --program ./engine --html report.html\n"
                "  g4-conformance real --checkpoint gemma-4-e2b/ --program ./engine --memory 6 --level pictures --level sound")
    p.add_argument("--checkpoint", metavar="FOLDER", help="config.json and safetensors, as released")
    p.add_argument("--gguf", metavar="FILE", help="the reference reads its weights from this file; the engine finds it in $G4_CONFORMANCE_GGUF")
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--program", metavar="COMMAND", help="the engine, called as COMMAND CASE_DIR OUT.safetensors")
    which.add_argument("--engine", metavar="MODULE:CLASS", help="an engine in Python")
    p.add_argument("--level", action="append", default=[], choices=real_levels, help="of the suite's own prompts those of this level; default: all that the model has")
    p.add_argument("--prompt", action="append", default=[], metavar="TEXT", help="instead of the suite's own")
    p.add_argument("--ids", metavar="FILE", help="prompts as a JSON list of lists of ids, instead of the suite's own")
    p.add_argument("--new-tokens", type=int, default=16, metavar="N", help="steps of the continuation; default 16")
    p.add_argument("--memory", type=float, metavar="GIB", help="what the reference may take; weights beyond it wait on disk")
    p.add_argument("--budget", choices=judge.BUDGETS, default="float32", help="rounded: for arithmetic that rounds on purpose")
    p.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS", help="per prompt; default 3600")
    p.add_argument("--name", help="what reports call the engine")
    p.add_argument("--work", metavar="FOLDER", help="keep the cases that are made there; default: a temporary folder")
    _of_reports(p)

    p = command("table", "a Markdown table of several engines' results, and of their failures")
    p.add_argument("results", nargs="+", metavar="RESULTS.json", help="what `run --json` wrote, an engine each")
    return top


def _of_reports(p: argparse.ArgumentParser, again: bool = True) -> None:
    p.add_argument("--tensors", action="store_true", help="a line per tensor")
    if again:
        p.add_argument("--json", metavar="FILE", help="results for `report` and `compare`")
    p.add_argument("--junit", metavar="FILE", help="results as JUnit XML")
    p.add_argument("--html", metavar="FILE", help="results as one page, drawn layer by layer")


def _list(args) -> int:
    order = {level: n for n, level in enumerate(cases.LEVELS)}
    for c in sorted(cases.select(args.cases, args.level, args.family), key=lambda c: min((order[level] for level in c.levels), default=len(order))):
        print(f"{c.name:<24} {', '.join(c.levels) or 'needs released weights':<24} {c.content}")
        for name in c.outputs if args.tensors and not c.needs_weights else ():
            facts = c.facts(name)
            print(f"    {name:<28} {str(facts.get('shape', '')):<16} atol {facts['atol']}" if "atol" in facts else f"    {name}")
    return 0


def _run(args) -> int:
    if args.timeout <= 0 or args.jobs < 1:
        raise engines.BadEngine("--timeout is a number of seconds above 0, and --jobs a number from 1")
    chosen = cases.select(args.cases, args.level, args.family)
    if not chosen:
        raise cases.BadCase("no case is of that level and family")
    known = expected_failures.ExpectedFailures(args.xfail)
    make = (lambda: engines.Program(args.program)) if args.program else (lambda: engines.PythonClass(args.engine))
    shown = sys.stderr.isatty()

    def progress(done: int, of: int, name: str) -> None:
        if shown:
            sys.stderr.write(f"\r\033[K{done} of {of} cases done: {name} ...")
            sys.stderr.flush()

    found = run(make, chosen, expected_failures=known, budget=args.budget, timeout=args.timeout, jobs=args.jobs,
                lend_soft_tokens=args.lend_soft_tokens, keep=args.keep, name=args.name, progress=progress)
    if shown:
        sys.stderr.write("\r\033[K")
    if args.json:
        results.write(args.json, found)
    return _show(args, found)


def _show(args, found: results.Results) -> int:
    if args.junit:
        junit.write(args.junit, found)
    if args.html:
        Path(args.html).write_text(page.page(found), encoding="utf-8")
    print("\n".join(text.lines(found, args.tensors)))
    return 0 if found.good else 1


def _compare(args) -> int:
    said, worse = text.compared_lines(results.read(args.old), results.read(args.new))
    print("\n".join(said))
    return 1 if worse else 0


def _real(args) -> int:
    from . import real
    if args.timeout <= 0 or args.new_tokens < 0 or (args.memory is not None and args.memory <= 0):
        raise engines.BadEngine("--timeout and --memory are numbers above 0, and --new-tokens one from 0")
    make = (lambda: engines.Program(args.program)) if args.program else (lambda: engines.PythonClass(args.engine))
    found = real.run_real(make, args, lambda said: print(said, file=sys.stderr, flush=True))
    if args.json:
        results.write(args.json, found)
    return _show(args, found)


def _table(args) -> int:
    print("\n".join(text.table([results.read(path) for path in args.results])))
    return 0


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    commands = {"list": _list, "run": _run, "report": lambda a: _show(a, results.read(a.results)), "compare": _compare, "table": _table, "real": _real}
    try:
        return commands[args.command](args)
    except (cases.BadCase, engines.BadEngine, expected_failures.BadFile, results.BadResults, NotApplicable, OSError) as e:
        print(f"g4-conformance: {e}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        return 130
