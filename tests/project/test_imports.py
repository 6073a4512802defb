"""Who may know whom: the order of ARCHITECTURE.md and its exceptions, held against the imports of
every file.
"""

import ast
import re
from collections.abc import Iterator

import pytest
from sources import ROOT, Import, Module, package

ARCHITECTURE = (ROOT / "workbench/ARCHITECTURE.md").read_text()
ORDER = re.findall(r"^ {6}(\w+)(?:\.py|/)", ARCHITECTURE, re.MULTILINE)
K2 = {"workbench.hmm.graphs.k2_fsa", "workbench.sequence.k2_lattice"}
OUTSIDE_WORLD = {  # not sys: the server counts who still holds the parameters that it published
    *("dask", "distributed", "threading", "multiprocessing", "concurrent", "asyncio", "queue"),
    *(
        "socket",
        "http",
        "urllib",
        "requests",
        "time",
        "datetime",
        "subprocess",
        "signal",
        "os",
        "io",
        "pathlib",
    ),
}
SPEECH_AND_NETWORKS = {
    "torch",
    "k2",
    "numba",
    "scipy",
    "soundfile",
    "kaldi_native_fbank",
    "kaldialign",
    "pandas",
}
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "random",
    "imp",
    "yaml",
}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "torch.save",
    "torch.hub.load",
    "os.system",
}
FORBIDDEN_CALLS |= {
    "os.popen",
    "pd.read_pickle",
    "pandas.read_pickle",
    "np.fromregex",
    "yaml.load",
    "torch.manual_seed",
}
FORBIDDEN_ARGUMENTS = {("shell", True), ("allow_pickle", True), ("weights_only", False)}


def ours() -> Iterator[tuple[Module, Import]]:
    """Every import of a part of the package by another: ``hmm`` imports
    ``workbench.language.lexicon.Lexicon``.
    """
    for module in package():
        yield from ((module, i) for i in module.imports if i.module.startswith("workbench."))


def root(imported: Import) -> str:
    """The outermost package of an import."""
    return imported.module.split(".")[0]


def test_every_part_has_its_place() -> None:
    """Every file and folder of the package stands once in the list of ARCHITECTURE.md, and nothing
    else does.
    """
    there = {m.unit for m in package()} - {"", "__main__"}
    assert sorted(ORDER) == sorted(there)


def test_imports_go_one_way() -> None:
    """A part imports only parts above it in the list."""
    wrong = []
    for module, imported in ours():
        used = imported.module.split(".")[1]
        if module.unit in ("", "__main__") or used not in ORDER or module.unit not in ORDER:
            continue
        if ORDER.index(used) > ORDER.index(module.unit):
            wrong.append(
                f"{module.where(imported.line)} imports {imported.module}, "
                f"which stands below {module.unit}"
            )
    assert not wrong, "\n".join(wrong)


def test_imports_are_absolute() -> None:
    """No import is relative, so that a reader and the tests of this file see what is meant."""
    nodes = ((m, n) for m in package() for n in ast.walk(m.tree) if isinstance(n, ast.ImportFrom))
    assert [m.where(n.lineno) for m, n in nodes if n.level] == []


def test_k2_is_known_in_two_places() -> None:
    """k2 is imported by the graphs and the lattices only, and only when they are asked for it."""
    users = [(m, i) for m in package() for i in m.imports if root(i) == "k2"]
    assert [m.where(i.line) for m, i in users if m.name not in K2 or i.at_import] == []


@pytest.mark.parametrize(
    "unit, kept_out, own",
    [
        ("training", OUTSIDE_WORLD, None),
        ("engine", SPEECH_AND_NETWORKS, {"engine", "settings", "system", "storage"}),
    ],
)
def test_the_seam(unit: str, kept_out: set[str], own: set[str] | None) -> None:
    """Training knows no clock, file, thread or cluster; the engine knows no speech, no networks and
    no training.
    """
    imports = [(m, i) for m in package() if m.unit == unit for i in m.imports]
    assert [f"{m.where(i.line)} {i.module}" for m, i in imports if root(i) in kept_out] == []
    mine = [(m, i) for m, i in imports if root(i) == "workbench" and own is not None]
    assert [
        f"{m.where(i.line)} {i.module}"
        for m, i in mine
        if i.module.split(".")[1] not in (own or ())
    ] == []


def test_training_knows_the_words_of_the_seam_only() -> None:
    """Of the engine, training imports the effects and nothing that carries them out."""
    mine = [
        (m, i)
        for m, i in ours()
        if m.unit == "training" and i.module.startswith("workbench.engine")
    ]
    assert [
        m.where(i.line) for m, i in mine if not i.module.startswith("workbench.engine.effects")
    ] == []


def test_dask_stays_in_the_cluster() -> None:
    """Dask is imported by the executor that uses it, and never when something else is imported."""
    users = [(m, i) for m in package() for i in m.imports if root(i) in ("dask", "distributed")]
    assert [
        m.where(i.line) for m, i in users if not m.name.startswith("workbench.engine.dask")
    ] == []


def test_figures_and_reports_see_what_runs_left_behind() -> None:
    """Figures and reports read settings, storage, metrics and sweeps, and start nothing."""
    seen = {"settings", "storage", "data", "metrics", "sweeping", "figures", "reports"}
    imports = [(m, i) for m, i in ours() if m.unit in ("figures", "reports")]
    assert len(imports) > 20
    assert [
        f"{m.where(i.line)} {i.module}" for m, i in imports if i.module.split(".")[1] not in seen
    ] == []


def test_espeak_stays_in_its_own_process() -> None:
    """eSpeak NG (GPL) is imported by the synthesis alone, and nobody outside imports the module
    that speaks.
    """
    users = [(m, i) for m in package() for i in m.imports if root(i) == "espeakng_loader"]
    assert [
        m.where(i.line) for m, i in users if not m.name.startswith("workbench.corpus.synthesis")
    ] == []
    speaking = {m.name for m, _ in users}
    outside = [(m, i) for m, i in ours() if not m.name.startswith("workbench.corpus.synthesis")]
    assert [
        m.where(i.line) for m, i in outside if any(i.module.startswith(name) for name in speaking)
    ] == []


def test_no_code_comes_out_of_data() -> None:
    """Nothing unpickles, evaluates text or goes through a shell, and torch.load is never called."""
    wrong = [m.where(i.line) for m in package() for i in m.imports if root(i) in FORBIDDEN_MODULES]
    for module in package():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and forbidden(node):
                wrong.append(f"{module.where(node.lineno)} {ast.unparse(node)[:60]}")
    assert not wrong, "\n".join(wrong)


def forbidden(call: ast.Call) -> bool:
    """Whether a call could run what a file says, or touches global random state."""
    values = {(k.arg, k.value.value) for k in call.keywords if isinstance(k.value, ast.Constant)}
    return ast.unparse(call.func) in FORBIDDEN_CALLS or bool(values & FORBIDDEN_ARGUMENTS)


def test_the_forbidden_is_recognised() -> None:
    """The test above would see every call and argument that is forbidden, and nothing else."""
    assert {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} <= FORBIDDEN_MODULES
    assert {"eval", "exec", "compile", "torch.load", "os.system", "os.popen"} <= FORBIDDEN_CALLS
    assert {("shell", True), ("allow_pickle", True), ("weights_only", False)} <= FORBIDDEN_ARGUMENTS

    calls = [f"{name}('x')" for name in FORBIDDEN_CALLS]
    arguments = [f"call('x', {name}={value})" for name, value in FORBIDDEN_ARGUMENTS]
    for text in (*calls, *arguments):
        assert forbidden(only_call(text)), text

    for name, value in FORBIDDEN_ARGUMENTS:
        assert not forbidden(only_call(f"call('x', {name}={not value})"))


def only_call(text: str) -> ast.Call:
    """The call that a text consists of."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    return call


def test_random_streams_have_one_source() -> None:
    """Only `settings.rng` makes random generators; everybody else is given one."""
    made = re.compile(
        r"np\.random\.(?!Generator\b)\w+"
        r"|torch\.(rand|randn|randint|randperm|bernoulli|multinomial)\("
    )
    lines = [
        (m, n, line)
        for m in package()
        for n, line in enumerate(m.text.splitlines(), 1)
        if m.unit != "settings"
    ]
    assert [m.where(n) for m, n, line in lines if made.search(line)] == []


def test_exceptions_travel() -> None:
    """No handler keeps every exception to itself; only the command line, or a second Ctrl-C, ends
    the process.
    """
    wrong = []
    may_end = ("workbench.cli", "workbench.runs.stop")
    for module in package():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler) and takes_everything(node):
                wrong.append(f"{module.where(node.lineno)} hides every error")
            ends = isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "sys.exit",
                "exit",
                "quit",
                "os._exit",
            )
            if (
                ends
                and not module.name.startswith(may_end)
                and not module.name.endswith("__main__")
            ):
                wrong.append(f"{module.where(node.lineno)} ends the process")
    assert not wrong, "\n".join(wrong)


def takes_everything(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches all exceptions and raises none."""
    broad = handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")
    return broad and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))
