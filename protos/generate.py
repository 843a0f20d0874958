"""Generate the Python stubs of every proto below this folder into the package ``visionmesh``.

``python protos/generate.py`` writes them; ``--check`` writes nothing, lists what differs from the committed stubs and
exits with 1 if anything does. The same protos and the same pinned tools give the same bytes.
"""

import argparse
import re
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
SERVICE = re.compile(r"^service\s", re.MULTILINE)
INIT = '"""Generated from the protos by ``make protos``: do not edit."""\n'


def run_protoc(protos: Path, sources: list[Path], *options: str) -> None:
    """Run protoc on ``sources``, paths below ``protos``; exits the program when it fails."""
    bundled = files("grpc_tools") / "_proto"
    common = Path(sysconfig.get_path("purelib"))  # googleapis-common-protos puts google/rpc/*.proto here
    plugin = Path(sysconfig.get_path("scripts")) / "protoc-gen-mypy_grpc"
    arguments = [f"-I{protos}", f"-I{bundled}", f"-I{common}", f"--plugin=protoc-gen-mypy_grpc={plugin}", *options]
    names = [source.relative_to(protos).as_posix() for source in sources]
    if protoc.main(["protoc", *arguments, *names]) != 0:
        sys.exit(f"protoc failed on {', '.join(names)}")


def generate(protos: Path, out: Path) -> None:
    """Write the stubs of all of ``protos`` below ``out``, with an ``__init__.py`` in each folder of stubs."""
    sources = sorted(protos.rglob("*.proto"))
    if not sources:
        sys.exit(f"no protos in {protos}")
    run_protoc(protos, sources, f"--python_out={out}", f"--pyi_out={out}")
    services = [source for source in sources if SERVICE.search(source.read_text(encoding="utf-8"))]
    if services:
        run_protoc(protos, services, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}")
    for folder in stub_folders(protos):
        (out / folder / "__init__.py").write_text(INIT, encoding="utf-8")


def stub_folders(protos: Path) -> list[Path]:
    """Folders that hold nothing but stubs, relative to the root: those of the protos and the ones between, below
    ``visionmesh``, whose own ``__init__.py`` is written by hand."""
    folders: set[Path] = set()
    for source in protos.rglob("*.proto"):
        folder = source.parent.relative_to(protos)
        folders.update(path for path in (folder, *folder.parents) if len(path.parts) > 1)
    return sorted(folders)


def stubs_in(root: Path, folders: list[Path]) -> dict[str, bytes]:
    """Content of each stub file below ``root``, by relative path."""
    found: dict[str, bytes] = {}
    for folder in folders:
        for path in sorted((root / folder).glob("*.py*")):
            if path.suffix in (".py", ".pyi"):
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed stubs, write nothing")
    parser.add_argument("--protos", type=Path, default=PROTOS, help="folder of the protos")
    parser.add_argument("--out", type=Path, default=ROOT, help="folder that holds the package visionmesh")
    options = parser.parse_args()
    protos, out = options.protos.resolve(), options.out.resolve()

    with tempfile.TemporaryDirectory() as name:
        fresh_root = Path(name)
        generate(protos, fresh_root)
        folders = stub_folders(protos)
        fresh, present = stubs_in(fresh_root, folders), stubs_in(out, folders)

    missing = sorted(fresh.keys() - present.keys())
    stale = sorted(present.keys() - fresh.keys())
    changed = sorted(path for path in fresh.keys() & present.keys() if fresh[path] != present[path])
    if options.check:
        for word, paths in (("missing", missing), ("stale", stale), ("differs", changed)):
            for path in paths:
                print(f"{word}: {path}")
        if missing or stale or changed:
            print("run `make protos` and commit the result")
            return 1
        return 0

    for path in stale:
        (out / path).unlink()
    for path in missing + changed:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(fresh[path])
    print(f"{len(fresh)} stubs: {len(missing)} new, {len(changed)} changed, {len(stale)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
