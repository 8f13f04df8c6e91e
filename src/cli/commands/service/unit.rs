//! The text of a unit for systemd.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a unit begins that was written by this program.
pub(super) const MARK: &str = "# Written by `chimaera service install`";

/// What a unit is made from.
pub(super) struct Unit<'u> {
    pub(super) instance: &'u str,
    pub(super) program: &'u Path,
    /// The arguments of `chimaera start`.
    pub(super) arguments: &'u [std::ffi::OsString],
    /// Variables of the environment.
    pub(super) environment: &'u [(&'static str, std::ffi::OsString)],
    /// How long the runtime may take to stop.
    pub(super) grace: Duration,
    /// The user that it runs as, for a service of the system.
    pub(super) user: Option<&'u str>,
}

/// The name of the unit of an instance.
pub(super) fn name(instance: &str) -> String {
    format!("{}.service", stem(instance))
}

fn stem(instance: &str) -> String {
    match instance {
        "default" => "chimaera".to_owned(),
        other => format!("chimaera-{other}"),
    }
}

/// The directory with the sockets of a service of the system.
pub(super) fn runtime_directory(instance: &str) -> PathBuf {
    Path::new("/run").join(stem(instance))
}

impl Unit<'_> {
    /// The text of the unit file. `Err` names what cannot be written in one.
    pub(super) fn text(&self) -> Result<String, String> {
        let Unit { instance, program, arguments, .. } = self;
        let program = quoted(program.as_os_str())?;
        let mut start = format!("{program} start --name {instance}");
        for argument in *arguments {
            start += " ";
            start += &quoted(argument)?;
        }
        let mut service = vec![
            "Type=notify".to_owned(),
            // `chimaera restart` names the new main process itself.
            "NotifyAccess=main".to_owned(),
            format!("ExecStart={start}"),
            format!("ExecReload={program} restart --name {instance}"),
        ];
        for (variable, value) in self.environment {
            let mut text = std::ffi::OsString::from(format!("{variable}="));
            text.push(value);
            service.push(format!("Environment={}", quoted_value(&text)?));
        }
        if let Some(user) = self.user {
            let directory = runtime_directory(instance);
            service.extend([
                format!("User={user}"),
                format!("RuntimeDirectory={}", stem(instance)),
                // Each file in it has a mode of its own; with `access.connect`, others must be able to enter.
                "RuntimeDirectoryMode=0711".to_owned(),
                // What is left of a crash is there.
                "RuntimeDirectoryPreserve=yes".to_owned(),
                format!("Environment=CHI_RUNTIME_DIR={}", directory.display()),
                // A user's service has the states where the user's other runtimes have them.
                format!("StateDirectory={}", stem(instance)),
                "StateDirectoryMode=0700".to_owned(),
            ]);
        }
        service.extend([
            // Pools may have much to load.
            "TimeoutStartSec=1h".to_owned(),
            format!("TimeoutStopSec={}", self.grace.as_secs() + 5),
            // Module hosts end with the daemon, which tells them.
            "KillMode=mixed".to_owned(),
            "WatchdogSec=30".to_owned(),
            // A module host that the kernel kills for its memory costs its own pool only.
            "OOMPolicy=continue".to_owned(),
            "Restart=on-failure".to_owned(),
            "RestartSec=1".to_owned(),
            // Another start would find the same configuration (2); and who has it stopped does not want another, even if
            // it has not ended in order (4).
            "RestartPreventExitStatus=2 4".to_owned(),
            "LimitNOFILE=65536:524288".to_owned(),
        ]);
        service.extend(hardening(self.user.is_some()).map(str::to_owned));
        let wanted_by = if self.user.is_some() { "multi-user.target" } else { "default.target" };
        Ok(format!(
            "{MARK}, which replaces it when it is called again.\n\
             [Unit]\n\
             Description=Chimaera task runtime, instance {instance}\n\
             Documentation=man:chimaera(1)\n\
             StartLimitIntervalSec=60\n\
             StartLimitBurst=5\n\
             \n\
             [Service]\n\
             {}\n\
             \n\
             [Install]\n\
             WantedBy={wanted_by}\n",
            service.join("\n")
        ))
    }
}

/// What a runtime and its modules do not need. Not among them: private users, which would hide who clients are;
/// private devices (and a protected clock, which implies them), temporary files and networks, which modules may use; and memory that is never both written and run,
/// which compilers in modules need. For a user's service, only what needs no namespace of users.
fn hardening(system: bool) -> impl Iterator<Item = &'static str> {
    let all = [
        ("NoNewPrivileges=yes", false),
        ("LockPersonality=yes", false),
        ("SystemCallArchitectures=native", false),
        ("RestrictSUIDSGID=yes", false),
        ("ProtectSystem=full", true),
        ("ProtectHostname=yes", true),
        ("ProtectKernelLogs=yes", true),
        ("ProtectKernelModules=yes", true),
        ("ProtectKernelTunables=yes", true),
        ("ProtectControlGroups=yes", true),
    ];
    all.into_iter().filter(move |(_, of_system)| system || !of_system).map(|(line, _)| line)
}

/// An argument of a command in a unit file: systemd.service(5), "Command lines".
fn quoted(argument: &OsStr) -> Result<String, String> {
    Ok(quoted_value(argument)?.replace('$', "$$"))
}

/// A value in a unit file: systemd.syntax(7), "Quoting".
fn quoted_value(value: &OsStr) -> Result<String, String> {
    let refused = |why: &str| format!("{}: {why} cannot be in a unit file", value.display());
    let text = value.to_str().ok_or_else(|| refused("bytes that are not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refused("control characters"));
    }
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=,+@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text),
        false => Ok(format!("\"{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit<'u>(arguments: &'u [std::ffi::OsString], user: Option<&'u str>) -> Unit<'u> {
        let program = Path::new("/opt/my tools/chimaera");
        let grace = Duration::from_secs(10);
        Unit { instance: "one", program, arguments, environment: &[], grace, user }
    }

    #[test]
    fn arguments_are_quoted() {
        let arguments = ["--modules".into(), "/a b/$HOME/100%/\"x\"\\".into()];
        let text = unit(&arguments, None).text().unwrap();
        let start = "ExecStart=\"/opt/my tools/chimaera\" start --name one --modules \
                     \"/a b/$$HOME/100%%/\\\"x\\\"\\\\\"\n";
        assert!(text.contains(start), "{text}");
        assert!(
            text.contains("ExecReload=\"/opt/my tools/chimaera\" restart --name one\n"),
            "{text}"
        );
        let refused = unit(&["a\nb".into()], None).text().unwrap_err();
        assert!(refused.contains("control characters"), "{refused}");
    }

    #[test]
    fn a_service_of_the_system_has_a_user_and_a_directory_for_sockets() {
        let text = unit(&[], Some("storage")).text().unwrap();
        for line in [
            "Type=notify",
            "User=storage",
            "RuntimeDirectory=chimaera-one",
            "Environment=CHI_RUNTIME_DIR=/run/chimaera-one",
            "TimeoutStopSec=15",
            "ProtectSystem=full",
            "WantedBy=multi-user.target",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        let text = unit(&[], None).text().unwrap();
        assert!(!text.contains("User=") && !text.contains("ProtectSystem"), "{text}");
        assert!(text.contains("WantedBy=default.target\n"), "{text}");
    }

    #[test]
    fn names_are_those_of_the_instances() {
        assert_eq!(
            (&*name("default"), &*name("two")),
            ("chimaera.service", "chimaera-two.service")
        );
    }
}
