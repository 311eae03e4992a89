"""Writes JSON files that are too odd for a test to hold."""

FILES = {
    "deep-array.json": "[" * 1000000,
    "deep-object.json": '{"a":' * 100000 + "1" + "}" * 100000,
    "long.json": '{"hidden_size": [' + "1," * 100000 + "1]}",
    "nul.json": "{}\0",
    "quote.json": '{"a":"\\',
    "bytes.json": b'{"a": "\xff"}',
}
for name, content in FILES.items():
    with open(name, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
