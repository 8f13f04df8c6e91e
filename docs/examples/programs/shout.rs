//! Calls `hello:shout`.

use chimaera::client::{self, Options};
use hello_shout_client::Client;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    client::init(Options::default())?;
    let text = std::env::args().nth(1).unwrap_or_else(|| "hello, world".into());
    println!("{}", Client::create("shouter", b"")?.shout(&text)?);
    Ok(())
}
