//! The container of `hello:shout`.

#[path = "../../autogen/shout_lib_exec.rs"]
mod lib_exec;

use chimaera::module::Init;
use chimaera::{Result, Status};
use hello_shout_client::{Method, ShoutTask};

/// The container.
pub struct Runtime;

#[chimaera::container(name = "hello:shout")]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        chimaera::log_info!("pool {} is ready to shout", init.pool_name());
        Ok(Runtime)
    }

    #[method(Method::SHOUT, name = "kShout")]
    fn shout(&self, task: &ShoutTask) -> Result<()> {
        let text = task.text.to_string()?;
        if text.is_empty() {
            return Err(Status::invalid("nothing to shout"));
        }
        task.loud.set(text.to_uppercase())
    }
}
