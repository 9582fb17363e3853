//! The program `cofferdam`; everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    cofferdam::main()
}
