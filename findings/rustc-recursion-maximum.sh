#!/usr/bin/env bash
# rustc 1.95.0 (LLVM 22.1.2): a function returns a number, or the greater of 1 and what it returns for another argument.
# With opt-level 3 the recursion becomes a loop, and that the greater one is at least 1 is then taken for a fact about
# every result. Seen: the result is printed as 0, and `== 0` is false. With opt-level 0 it is true. The nightly 1.97.0
# (LLVM 22.1.4) does the same. Ends with 1 if that changes. Needs rustup, which fetches the compiler if it is not there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/main.rs" <<'RUST'
use std::hint::black_box;

enum Kind {
    Plain(u8),
    Optional(Box<Kind>),
}

fn worst(kind: &Kind) -> u8 {
    match kind {
        Kind::Plain(found) => *found,
        Kind::Optional(inner) => worst(inner).max(1),
    }
}

fn main() {
    let plain = black_box(Kind::Plain(0));
    println!("plain: {}, equal to 0: {}", worst(&plain), worst(&plain) == 0);
    let optional = black_box(Kind::Optional(Box::new(plain)));
    println!("optional: {}, equal to 1: {}", worst(&optional), worst(&optional) == 1);
}
RUST
rustup run --install 1.95.0 rustc --version
for level in 0 3; do
    rustup run 1.95.0 rustc --edition 2024 -C opt-level="$level" -o "$folder/level$level" "$folder/main.rs"
    "$folder/level$level" >"$folder/said$level"
    sed "s/^/opt-level $level: /" "$folder/said$level"
done
grep -qx 'plain: 0, equal to 0: true' "$folder/said0"
grep -qx 'plain: 0, equal to 0: false' "$folder/said3"
