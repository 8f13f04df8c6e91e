//! A runtime inside the program itself.

use chimaera::client::{self, Options};
use chimaera::runtime::{Config, Runtime};
use chimaera_kv_client::{Client, Params};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Modules come from CHI_REPO_PATH, and the instance is this program's own.
    let runtime = Runtime::start(Config::embedded())?;
    let instance = Some(runtime.instance().name().to_owned());
    client::init(Options { instance, ..Options::default() })?;

    let kv = Client::create("colours", Params::default())?;
    kv.put("grass", "green")?;
    println!("The grass is {}.", String::from_utf8(kv.get("grass")?)?);

    client::shutdown();
    runtime.stop();
    runtime.wait();
    Ok(())
}
