//! iceoryx2: shared memory without a daemon.

use std::io::{pipe, PipeReader, PipeWriter, Read, Write};

use iceoryx2::port::client::Client;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::prelude::*;

use crate::floor::Answerer;
use crate::measure::{Cores, Peer};
use crate::Result;

/// What has the answerer sleep.
const REST: u64 = u64::MAX;

fn name(of: &str) -> Result<ServiceName> {
    Ok(format!("chimaera peers/{}/{of}", std::process::id()).as_str().try_into()?)
}

/// A request and its response, both sides looking for work.
pub(crate) struct RequestResponse {
    client: Client<ipc::Service, u64, (), u64, ()>,
    works: PipeWriter,
    _answerer: Answerer,
}

impl RequestResponse {
    pub(crate) fn start(cores: Cores) -> Result<RequestResponse> {
        let name = name("echo")?;
        let (mut reader, works) = pipe()?;
        let (mut is_ready, mut ready) = pipe()?;
        let theirs = name;
        let answerer = Answerer::fork(cores, move || {
            let node = NodeBuilder::new().create::<ipc::Service>()?;
            let service =
                node.service_builder(&theirs).request_response::<u64, u64>().open_or_create()?;
            let server = service.server_builder().create()?;
            ready.write_all(b"r")?;
            loop {
                rest(&mut reader)?;
                'work: loop {
                    if let Some(request) = server.receive()? {
                        request.send_copy(1)?;
                        if *request == REST {
                            break 'work;
                        }
                    }
                }
            }
        })?;
        is_ready.read_exact(&mut [0])?;
        let node = NodeBuilder::new().create::<ipc::Service>()?;
        let service =
            node.service_builder(&name).request_response::<u64, u64>().open_or_create()?;
        let client = service.client_builder().create()?;
        Ok(RequestResponse { client, works, _answerer: answerer })
    }

    fn ask(&self, what: u64) -> Result<()> {
        let pending = self.client.send_copy(what)?;
        while pending.receive()?.is_none() {
            std::hint::spin_loop();
        }
        Ok(())
    }
}

fn rest(reader: &mut PipeReader) -> Result<()> {
    Ok(reader.read_exact(&mut [0])?)
}

impl Peer for RequestResponse {
    fn begin(&mut self) -> Result<()> {
        Ok(self.works.write_all(b"w")?)
    }

    fn call(&mut self) -> Result<()> {
        self.ask(1)
    }

    fn end(&mut self) -> Result<()> {
        self.ask(REST)
    }
}

/// Two events: each side sleeps until the other notifies it.
pub(crate) struct Event {
    calls: Notifier<ipc::Service>,
    gets: Listener<ipc::Service>,
    _answerer: Answerer,
}

impl Event {
    pub(crate) fn start(cores: Cores) -> Result<Event> {
        let (there, back) = (name("there")?, name("back")?);
        let (mut is_ready, mut ready) = pipe()?;
        let (mut is_there, mut go) = pipe()?;
        let (their_there, their_back) = (there, back);
        let answerer = Answerer::fork(cores, move || {
            let node = NodeBuilder::new().create::<ipc::Service>()?;
            let there = node.service_builder(&their_there).event().open_or_create()?;
            let back = node.service_builder(&their_back).event().open_or_create()?;
            let hears = there.listener_builder().create()?;
            ready.write_all(b"r")?;
            rest(&mut is_there)?;
            let says = back.notifier_builder().create()?;
            loop {
                hears.blocking_wait(|_| {})?;
                says.notify()?;
            }
        })?;
        is_ready.read_exact(&mut [0])?;
        let node = NodeBuilder::new().create::<ipc::Service>()?;
        let there = node.service_builder(&there).event().open_or_create()?;
        let back = node.service_builder(&back).event().open_or_create()?;
        let gets = back.listener_builder().create()?;
        let calls = there.notifier_builder().create()?;
        go.write_all(b"g")?;
        Ok(Event { calls, gets, _answerer: answerer })
    }
}

impl Peer for Event {
    fn call(&mut self) -> Result<()> {
        self.calls.notify()?;
        self.gets.blocking_wait(|_| {})?;
        Ok(())
    }
}
