//! A store of several containers.

use chimaera::client::{self, Options};
use chimaera::{DomainQuery, PoolOptions};
use chimaera_kv_client::{Client, Params};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    client::init(Options::default())?;
    let four = PoolOptions::default().containers(4);
    let store = Client::create_with("shared", Params::default(), four)?;
    for i in 0..100 {
        store.put(format!("wave/{i}"), "white")?;
    }

    let mut keys = 0;
    for id in 0..4 {
        keys += store.with_query(DomainQuery::local_id(id)).count()?;
    }
    println!("Four containers have {keys} keys.");
    Ok(())
}
