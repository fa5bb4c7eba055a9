//! Asking a person before something that others will notice.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::Failure;
use crate::interrupt::Interrupt;

/// Has the person type `word` to go on. Where nobody can be asked, `--yes` must have said so.
pub async fn confirm(interrupt: &Interrupt, question: &str, word: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!("{question} needs a yes")).hint("add --yes to confirm"));
    }
    let _ = write!(io::stderr().lock(), "{question}\nType {word} to confirm: ");
    // A read from a terminal cannot be stopped; its thread ends with the process.
    let answer = interrupt
        .or(tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map(|_| line)
        }))
        .await?;
    match answer {
        Ok(Ok(line)) if line.trim() == word => Ok(()),
        Ok(_) | Err(_) => Err(Failure::usage("not confirmed, nothing was changed")),
    }
}
