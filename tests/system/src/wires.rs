//! Networks on this machine: namespaces, each with an interface, that are plugged into one switch, and whose cables can
//! be pulled. They are gone with the processes that hold them, whatever becomes of the test.

use std::process::{Child, Command, Stdio};

use crate::process;

/// A namespace, held by a process that ends when its standard input does.
struct Space(Child);

impl Space {
    fn new() -> Result<Space, String> {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sh", "-c", "echo; exec cat"]);
        let spawned = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawned.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut said = [0];
        let out = child.stdout.as_mut().expect("it is piped");
        // It says so once it is in its namespace.
        let there = std::io::Read::read(out, &mut said);
        let space = Space(child);
        match there {
            Ok(1) => Ok(space),
            _ => Err("no network namespace can be made here".to_owned()),
        }
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// A command that runs inside.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([&format!("--net=/proc/{}/ns/net", self.id()), "--", program]);
        command
    }

    fn run(&self, line: &str) -> Result<(), String> {
        let mut words = line.split(' ');
        let mut command = self.command(words.next().unwrap_or_default());
        let done = process::run(command.args(words));
        match done.code {
            0 => Ok(()),
            _ => Err(format!("`{line}`: {}", done.stderr.trim())),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A switch, and the namespaces that are plugged into it.
pub struct Wires {
    switch: Space,
    spaces: Vec<Space>,
}

impl Wires {
    /// Makes `count` namespaces. An error says what this machine does not allow or have.
    pub fn new(count: usize) -> Result<Wires, String> {
        let switch = Space::new()?;
        switch.run("ip link add br0 type bridge")?;
        switch.run("ip link set br0 up")?;
        let mut wires = Wires { switch, spaces: Vec::new() };
        for number in 0..count {
            let space = Space::new()?;
            let id = space.id();
            wires
                .switch
                .run(&format!("ip link add port{number} type veth peer name eth0 netns {id}"))?;
            wires.switch.run(&format!("ip link set port{number} master br0 up"))?;
            space.run(&format!("ip addr add {}/24 dev eth0", Wires::address(number)))?;
            space.run("ip link set eth0 up")?;
            space.run("ip link set lo up")?;
            wires.spaces.push(space);
        }
        Ok(wires)
    }

    /// The address of a namespace.
    pub fn address(number: usize) -> String {
        format!("10.98.0.{}", number + 1)
    }

    /// This command, inside a namespace.
    pub(crate) fn inside(&self, number: usize, command: &Command) -> Command {
        let mut inside = self.spaces[number].command("env");
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            inside.current_dir(directory);
        }
        inside
    }

    /// Pulls the cable of a namespace, at the switch: what it sends gets lost, and nothing comes.
    #[track_caller]
    pub fn pull(&self, number: usize) {
        self.switch.run(&format!("ip link set port{number} down")).unwrap();
    }

    /// Plugs it in again.
    #[track_caller]
    pub fn plug(&self, number: usize) {
        self.switch.run(&format!("ip link set port{number} up")).unwrap();
    }

    /// Lets nothing through from any of `some` to any of `others`, nor back.
    #[track_caller]
    pub fn part(&self, some: &[usize], others: &[usize]) {
        self.between(some, others, "add");
    }

    /// Ends that.
    #[track_caller]
    pub fn join(&self, some: &[usize], others: &[usize]) {
        self.between(some, others, "del");
    }

    #[track_caller]
    fn between(&self, some: &[usize], others: &[usize], what: &str) {
        for (from, to) in [(some, others), (others, some)] {
            for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))) {
                let line = format!("ip route {what} blackhole {}/32", Wires::address(to));
                self.spaces[from].run(&line).unwrap();
            }
        }
    }

    /// Delays what a namespace sends, by about `delay` milliseconds, and loses `loss` percent of it. An error says why
    /// this machine cannot.
    pub fn disturb(&self, number: usize, delay: u32, loss: u32) -> Result<(), String> {
        let spread = delay / 4;
        self.spaces[number].run(&format!(
            "tc qdisc add dev eth0 root netem delay {delay}ms {spread}ms loss {loss}%"
        ))
    }
}
