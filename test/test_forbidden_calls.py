"""Nothing in the package unpickles, evaluates text, or hands text to a shell."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for folder in ("mvssm_ros", "launch")
    for path in (CHECKOUT / folder).rglob("*.py")
    if "msg" not in path.relative_to(CHECKOUT).parts[:-1]
)

# Called by these names they are forbidden, wherever they come from.
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "input"),
    *("os.system", "os.popen", "commands.getoutput", "subprocess.getoutput"),
    *("subprocess.getstatusoutput", "pty.spawn", "tempfile.mktemp"),
    *("yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all"),
    *("np.fromregex", "ET.parse", "minidom.parse", "minidom.parseString"),
}
MODULES = {"marshal", "shelve", "dill", "cloudpickle", "joblib", "telnetlib", "ftplib", "tarfile"}
NETWORK = {"urllib", "requests", "http", "socket", "httpx", "aiohttp", "socketserver"}
# The page of `mvssm view`, which this machine serves and fetches from itself; that its browser asks no
# other machine is a test of its own (test/nodes/test_view_in_browser.py).
SERVES_ITS_PAGE = {f"mvssm_ros/viewing/{name}.py" for name in ("page", "outlet")}
EXTRACTING = {"extract", "extractall", "unpack_archive"}


def name_of(node):
    """`np.load` of the function that is called; "" where it has no plain name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""


def is_constant(call, keyword, value):
    given = [k.value for k in call.keywords if k.arg == keyword]
    return len(given) == 1 and isinstance(given[0], ast.Constant) and given[0].value is value


def safe_loaders(tree):
    """Names of the classes of this module that are made of yaml's SafeLoader."""
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and [name_of(base) for base in node.bases] in (["yaml.SafeLoader"], ["yaml.CSafeLoader"])
    }


def problems(source):
    """What is forbidden in this source, a line each."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += _imports(node)
        elif isinstance(node, ast.Attribute) and name_of(node).startswith("pickle."):
            if node.attr != "UnpicklingError":  # what torch.load(weights_only=True) raises
                found.append((node, name_of(node)))
        elif isinstance(node, ast.Call):
            found += _call(node, safe_loaders(tree))
    return [f"line {node.lineno}: {what}" for node, what in found]


def _imports(node):
    names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    tops = {name.split(".")[0] for name in names}
    found = [(node, f"import of {name}") for name in sorted(tops & (MODULES | NETWORK))]
    if isinstance(node, ast.ImportFrom) and tops & {"pickle", "subprocess", "yaml", "os"}:
        found.append((node, "import by name, which hides what is called"))
    return found


def _call(node, loaders):
    name = name_of(node.func)
    last = name.rsplit(".", 1)[-1]
    if name in FORBIDDEN:
        yield node, name
    if name in ("np.load", "numpy.load") and not is_constant(node, "allow_pickle", False):
        yield node, "np.load without allow_pickle=False"
    if name == "torch.load" and not is_constant(node, "weights_only", True):
        yield node, "torch.load without weights_only=True"
    if name in ("yaml.load", "yaml.load_all"):
        given = [name_of(k.value) for k in node.keywords if k.arg == "Loader"]
        if not set(given) & {*loaders, "yaml.SafeLoader", "yaml.CSafeLoader"}:
            yield node, f"{name} without a safe Loader"
    if any(k.arg == "shell" for k in node.keywords):
        yield node, "shell=..."
    if name.startswith("subprocess.") and (not node.args or not isinstance(node.args[0], ast.List)):
        yield node, f"{name} of something else than a list of words"
    if last in EXTRACTING:
        yield node, name
    if name == "ET.fromstring" and "<!DOCTYPE" not in (CHECKOUT / QUALISYS).read_text("utf-8"):
        yield node, "XML that may declare entities"


QUALISYS = "mvssm_ros/rig/importers/qualisys.py"  # the one reader of XML, which refuses a DOCTYPE


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_the_package_calls_nothing_forbidden(path):
    found = problems(path.read_text("utf-8"))
    if str(path.relative_to(CHECKOUT)) in SERVES_ITS_PAGE:
        found = [what for what in found if not what.endswith(tuple(f"of {n}" for n in NETWORK))]
    assert found == []


def test_only_one_reader_of_xml():
    users = [p for p in SOURCES if "ElementTree" in p.read_text("utf-8")]
    assert [str(p.relative_to(CHECKOUT)) for p in users] == [QUALISYS]


@pytest.mark.parametrize(
    "bad",
    [
        "import pickle\npickle.load(file)",
        "import pickle\nclass U(pickle.Unpickler): pass",
        "from pickle import loads",
        "import numpy as np\nnp.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.load(text)",
        "class L(yaml.Loader): pass\nyaml.load(text, Loader=L)",
        "yaml.full_load(text)",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "import os\nos.system('ls ' + name)",
        "subprocess.run(f'ls {name}', shell=True)",
        "subprocess.run(command)",
        "archive.extractall(folder)",
        "shutil.unpack_archive(path)",
        "import tarfile",
        "import urllib.request",
        "tempfile.mktemp()",
    ],
)
def test_the_scan_finds(bad):
    assert problems(bad) != []


@pytest.mark.parametrize(
    "good",
    [
        "np.load(path, allow_pickle=False)",
        "torch.load(path, map_location='cpu', weights_only=True)",
        "class L(yaml.SafeLoader): pass\nyaml.load_all(text, Loader=L)",
        "yaml.safe_load(text)",
        "try:\n    a()\nexcept pickle.UnpicklingError: pass",
        "model.eval()",
        "re.compile(pattern)",
        "subprocess.Popen([sys.executable, '-c', code])",
    ],
)
def test_the_scan_lets_pass(good):
    assert problems(good) == []
