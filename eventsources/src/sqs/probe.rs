//! Whether the queue can be used, asked without taking anything from it.

use tripline_cloud::Caller;

use super::config::Sqs;
use super::queue::Queue;

/// Reaches SQS with the credentials of `caller`, asks for the queue, and whether its
/// messages may be deleted. No message is taken: each receive counts towards the queue's
/// redrive policy.
///
/// # Errors
/// What is wrong, and what to do.
pub async fn probe(config: &Sqs, caller: &Caller) -> Result<String, String> {
    let queue = Queue::connect(config, caller).await;
    let queue = queue.map_err(|trouble| trouble.to_string())?;
    queue.may_delete().await.map_err(|trouble| trouble.to_string())?;
    // The daemon does not need the right to ask; one who looks may want to know.
    let waiting = queue.settings().await.ok().and_then(|settings| settings.waiting);
    Ok(match waiting {
        Some(waiting) => format!("{} is there, about {waiting} messages wait", queue.place),
        None => format!("{} is there", queue.place),
    })
}
