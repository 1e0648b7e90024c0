"""What can become of a weight file on its way, and what the check says of it."""

import json


def write_half_of_it(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_header_only(path):
    path.write_bytes(path.read_bytes()[:100])


def write_nothing(path):
    path.write_bytes(b"")


def write_web_page(path):
    path.write_text("<!DOCTYPE html><title>Sign in</title>" * 20)


def write_pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3544367048\n")


def write_other_json(path):
    path.write_bytes((12).to_bytes(8, "little") + b'{"a": [1, 2]')


def write_wrong_sizes(path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


def write_eight_bits(path):
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


DAMAGES = {
    write_half_of_it: "the download is incomplete",
    write_header_only: "not a whole .safetensors file",
    write_nothing: "an empty file",
    write_web_page: "a web page, not a .safetensors file",
    write_pointer: "a git-lfs pointer",
    write_other_json: "not a .safetensors file",
    write_wrong_sizes: "has 4 bytes instead of 12",
    write_eight_bits: "numbers of type F8_E4M3",
}
