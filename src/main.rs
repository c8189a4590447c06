//! The program: arguments, tracing, exit code; nothing else.

fn main() {}
