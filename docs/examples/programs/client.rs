//! Puts, gets and scans keys of a store.

use chimaera::client::{self, Options};
use chimaera_kv_client::{Client, Params};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    client::init(Options::default())?;
    let kv = Client::create("colours", Params::default())?;
    kv.put("sea", "green")?;
    println!("The sea is {}.", String::from_utf8(kv.get("sea")?)?);

    // Many tasks at once: submit them all, then wait for each.
    let pending: Result<Vec<_>, _> =
        (0..100).map(|i| kv.put_async(format!("wave/{i:02}"), "white")).collect();
    for put in pending? {
        put.wait()?;
    }
    println!("There are {} waves.", kv.scan("wave/", 0)?.len());
    Ok(())
}
