//! The container of `written:loom`.

#[path = "../../autogen/loom_lib_exec.rs"]
mod lib_exec;

use chimaera::abi::CHI_MODULE_STATUS;
use chimaera::module::Init;
use chimaera::{Result, Status};
use written_loom_client::{EntryValue, FailTask, Method, RelayTask, Turn, TurnTask};
use written_press_client as press;

/// The container.
pub struct Runtime;

#[chimaera::container(name = "written:loom", unsupported(kOld = 13))]
impl Runtime {
    #[create]
    fn create(_init: &Init<'_>) -> Result<Self> {
        Ok(Runtime)
    }

    #[method(Method::TURN, name = "kTurn")]
    fn turn(&self, task: &TurnTask) -> Result<()> {
        let mut turn = Turn::read(task)?;
        turn.text.push('!');
        turn.words.reverse();
        turn.extents.iter_mut().for_each(|extent| extent.blocks += 1);
        change(&mut turn.entry);
        turn.entries.iter_mut().for_each(change);
        turn.total += turn.words.len() as u64;
        turn.write(task)
    }

    #[method(Method::FAIL, name = "kFail")]
    fn fail(&self, task: &FailTask) -> Result<()> {
        let why = task.why.to_string()?;
        if task.thrown.get() != 0 {
            panic!("{why}");
        }
        Err(Status::new(CHI_MODULE_STATUS, why))
    }

    #[method(Method::RELAY, name = "kRelay")]
    fn relay(&self, task: &RelayTask) -> Result<()> {
        let text = task.text.to_string()?;
        let other = press::Client::create(&task.store.to_string()?)?;
        let turns: Vec<press::PendingTurn> = (0..task.width.get())
            .map(|i| {
                other.turn_async(&press::Turn { text: format!("{text}{i}"), ..Default::default() })
            })
            .collect::<Result<_>>()?;
        let mut answers = Vec::new();
        for turn in turns {
            answers.push(turn.wait()?.text);
        }
        task.answers.set_all(&answers)?;
        match task.why.is_empty() {
            true => Ok(()),
            false => other.fail(false, &task.why.to_string()?),
        }
    }
}

fn change(entry: &mut EntryValue) {
    entry.name.push('?');
    entry.extent.start += 1;
    entry.weights.push(1.0);
}
