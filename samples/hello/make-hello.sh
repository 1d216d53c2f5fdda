#!/bin/sh
# Writes the program of this sample: a static x86-64 executable of 243 bytes that prints a greeting with write(2) and ends
# with exit(2). It is kept as text so that the sample needs no compiler.
cd "$(dirname "$0")" || exit 1
base64 -d >hello <<'DATA'
f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAAB
AAAAAAAAAAEAAAAFAAAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAA8wAAAAAAAADzAAAAAAAAAAAQ
AAAAAAAAvwEAAAC4AQAAAEiNNRAAAAC6WgAAAA8FMf+4PAAAAA8FSGVsbG8gZnJvbSBTdHJhdGEh
ClRoaXMgcHJvZ3JhbSBpcyB0aGUgd2hvbGUgaW1hZ2U6IG9uZSBsYXllciwgb25lIGZpbGUsIG5v
IGRpc3RyaWJ1dGlvbi4K
DATA
chmod 755 hello
