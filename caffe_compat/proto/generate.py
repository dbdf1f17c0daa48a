"""Makes caffe_pb2.py and caffe_pb2.pyi from caffe.proto.

``tox -e proto``, or with grpcio-tools 1.51 (protoc 3.21) ``python caffe_compat/proto/generate.py``.
Code made by protoc 3.21 runs on protobuf 4.21 and up; later compilers write a check of the runtime's version.
"""

import hashlib
import importlib
import sys
import tempfile
from pathlib import Path

__all__ = ["GENERATED", "PROTO", "compile_proto", "digest_line", "main"]

PROTO = "caffe_compat/proto/caffe.proto"
"""Name under which the schema is registered, relative to the repository root."""

GENERATED = ("caffe_pb2.py", "caffe_pb2.pyi")
"""Files made, beside this one."""

_HERE = Path(__file__).resolve().parent


def digest_line() -> str:
    """First line of every generated file: it names the exact caffe.proto that the file was made from."""
    return f"# caffe.proto sha256: {hashlib.sha256((_HERE / 'caffe.proto').read_bytes()).hexdigest()}\n"


def compile_proto() -> dict[str, str]:
    """Compile caffe.proto with the installed grpc_tools; return the text of each file of GENERATED.

    Raises:
        ImportError: grpcio-tools is not installed.
        RuntimeError: protoc refused the schema.
    """
    protoc = importlib.import_module("grpc_tools.protoc")  # not a dependency of the package
    root = _HERE.parents[1]
    with tempfile.TemporaryDirectory() as out:
        status = protoc.main(["protoc", f"-I{root}", f"--python_out={out}", f"--pyi_out={out}", str(root / PROTO)])
        if status != 0:
            raise RuntimeError(f"{PROTO}: protoc failed with status {status}; its messages are above")
        made = Path(out) / Path(PROTO).parent
        return {name: digest_line() + (made / name).read_text() for name in GENERATED}


def main() -> int:
    """Write the generated files beside caffe.proto."""
    for name, text in compile_proto().items():
        (_HERE / name).write_text(text)
        print(f"wrote {Path(PROTO).parent / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
