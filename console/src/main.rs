//! `vigie`: see the library, which the tests drive too.

use std::process::ExitCode;

fn main() -> ExitCode {
    vigie::main()
}
