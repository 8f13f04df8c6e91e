//! A described task with a deadline.

use std::time::Duration;

use chimaera::client::{self, Options};
use chimaera::{DomainQuery, NewTask, Task};
use hello_shout_client::{Client, Method, ShoutTask};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    client::init(Options::default())?;
    let shouter = Client::create("shouter", b"")?;

    let (pool, query) = (shouter.pool_id(), DomainQuery::dynamic());
    let task: NewTask<ShoutTask> = chimaera::ipc()?.new_task(pool, query, Method::SHOUT)?;
    task.text.set("hello, Ada")?;
    task.base().set_deadline(Duration::from_secs(3600));
    println!("{}", task.call()?.loud.to_string()?);
    Ok(())
}
