//! The program `tripline`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Err(error) = tripline::program::prepare() {
        eprintln!("tripline: {error}");
        return ExitCode::FAILURE;
    }
    tripline::cli::main(&tripline::program::Binary)
}
