//! The container of `test:rust_faults`, a module that misbehaves on request.

use chimaera::module::Init;
use chimaera::{Result, Status};
use chimaera_kv_client as kv;
use chimaera_test_rust_faults_client::{
    EchoTask, FaultTask, Method, SubcallTask, FAULT, PARAMS_FAIL, PARAMS_PANIC,
};

/// The container.
pub struct Runtime;

#[chimaera::container(name = "test:rust_faults", unsupported(kUnsupported = Method::UNSUPPORTED))]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        match init.params() {
            PARAMS_PANIC => panic!("told to panic"),
            PARAMS_FAIL => Err(Status::new(FAULT, "told to fail")),
            _ => Ok(Runtime),
        }
    }

    #[method(Method::PANIC, name = "kPanic")]
    fn panic(&self, task: &FaultTask) -> Result<()> {
        panic!("told to panic: {}", task.text.to_string()?)
    }

    #[method(Method::ERROR, name = "kError")]
    fn error(&self, task: &FaultTask) -> Result<()> {
        Err(Status::new(FAULT, task.text.to_string()?))
    }

    #[method(Method::ECHO, name = "kEcho")]
    fn echo(&self, task: &EchoTask) -> Result<()> {
        task.output.set(task.input.copy_to_vec()?)
    }

    #[method(Method::SUBCALL, name = "kSubcall")]
    fn subcall(&self, task: &SubcallTask) -> Result<()> {
        let name = task.pool_name.to_string()?;
        let kv = kv::Client::create(&name, kv::Params::default())?;
        let key = task.key.copy_to_vec()?;
        kv.put(&key, task.value.copy_to_vec()?)?;
        task.found.set(kv.get(&key)?)
    }
}
