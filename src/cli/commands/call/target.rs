//! The pool that is called: its methods, and what its module says of their tasks.

use chimaera_abi::{chi_pool_id, chi_status, chi_task, CHI_DESCRIBE_POOLS, CHI_MAX_TASK_SIZE};
use chimaera_description::{spell_type, Body, Description, Direction};
use chimaera_ipc::control::Request;
use chimaera_yaml::nearest;
use serde_json::{json, Value as Json};

use crate::context::{Context, Failed};
use crate::method_name;
use crate::table;

/// A pool.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) id: chi_pool_id,
    module: String,
    version: String,
    methods: Vec<Method>,
    description: Description,
    /// The module says something of its tasks.
    says: bool,
}

/// A method that a client can call.
pub(super) struct Method {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) task_bytes: usize,
    pub(super) layout: chi_status,
}

impl Target {
    /// Asks the runtime for the pool with this name or id.
    pub(super) fn ask(context: &Context, pool: &str) -> Result<Target, Failed> {
        let document = context.ask_with_text(Request::Pool, pool).map_err(|failed| {
            let Failed::Refused(status, why) = failed else { return failed };
            let pools = context.describe(CHI_DESCRIBE_POOLS).unwrap_or_default();
            let names: Vec<&str> = pools
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one["name"].as_str())
                .collect();
            match nearest(pool, &names) {
                Some(near) if near != pool => {
                    Failed::Refused(status, format!("{why}: did you mean '{near}'?"))
                }
                _ => Failed::Refused(status, why),
            }
        })?;
        Target::read(&document).ok_or_else(|| {
            let why = "the instance's answer is malformed; it may be of another version";
            Failed::Message(why.to_owned())
        })?
    }

    /// Reads what a runtime answers, which may be of another version.
    fn read(document: &Json) -> Option<Result<Target, Failed>> {
        let text = |key: &str| document[key].as_str().map(str::to_owned);
        let (major, minor) = document["id"].as_str()?.split_once('.')?;
        let id = chi_pool_id { major_: major.parse().ok()?, minor_: minor.parse().ok()? };
        let mut methods = Vec::new();
        for method in document["methods"].as_array()? {
            let number = u32::try_from(method["number"].as_u64()?).ok()?;
            if method["supported"] != true || number < chimaera_abi::CHI_METHOD_CUSTOM {
                continue;
            }
            let task_bytes = usize::try_from(method["task_bytes"].as_u64()?).ok()?;
            if !(size_of::<chi_task>()..=CHI_MAX_TASK_SIZE as usize).contains(&task_bytes) {
                return None;
            }
            methods.push(Method {
                name: method["name"].as_str()?.to_owned(),
                number,
                task_bytes,
                layout: u32::try_from(method["layout"].as_u64()?).ok()? as chi_status,
            });
        }
        let (module, version) = (text("module")?, text("version")?);
        let says = !document["description"].is_null();
        let description = match says {
            false => Description::default(),
            true => match Description::from_json(&document["description"].to_string()) {
                Ok(description) => description,
                Err(why) => {
                    let message = format!("the description of {module} {why}");
                    return Some(Err(Failed::Message(message)));
                }
            },
        };
        for method in &methods {
            let body = description.task(&method.name).and_then(|task| task.body.as_ref());
            if body.is_some_and(|body| body.size as usize != method.task_bytes) {
                return None;
            }
        }
        let name = text("name")?;
        Some(Ok(Target { name, id, module, version, methods, description, says }))
    }

    pub(super) fn description(&self) -> &Description {
        &self.description
    }

    /// The method with this name, with or without its `k`, or with this number.
    pub(super) fn method(&self, wanted: &str) -> Result<&Method, Failed> {
        let all: Vec<(&str, u64)> =
            self.methods.iter().map(|method| (&*method.name, method.number.into())).collect();
        let found = method_name::find(&self.name, &all, wanted).map_err(Failed::Usage)?;
        Ok(&self.methods[found])
    }

    /// The fields of a method's task. One without any fields needs no description.
    pub(super) fn body(&self, method: &Method) -> Result<Body, Failed> {
        let task = self.description.task(&method.name);
        if let Some(body) = task.and_then(|task| task.body.clone()) {
            return Ok(body);
        }
        if method.task_bytes == size_of::<chi_task>() {
            return Ok(Body::new(chimaera_description::TASK_HEADER));
        }
        let (name, module) = (&method.name, &self.module);
        let help = match self.says {
            true => "list them in its chimaera_mod.yaml, under `tasks`",
            false => "describe its tasks in its chimaera_mod.yaml, and build it with an SDK of ABI 1.2 or later",
        };
        let message = format!("{module} does not say which fields the task of {name} has: {help}");
        Err(Failed::Message(message))
    }

    /// The methods with their fields.
    pub(super) fn to_json(&self) -> Json {
        let methods = self.methods.iter().map(|method| {
            let task = self.description.task(&method.name);
            let fields = task.and_then(|task| task.body.as_ref()).map(|body| {
                body.fields
                    .iter()
                    .filter(|field| field.direction != Direction::Skip)
                    .map(|field| {
                        json!({
                            "name": field.name,
                            "type": spell_type(&field.ty, &self.description.structs),
                            "dir": field.direction.name(),
                            "doc": field.doc,
                        })
                    })
                    .collect::<Vec<_>>()
            });
            json!({
                "name": method.name,
                "number": method.number,
                "doc": task.and_then(|task| task.doc.as_ref()),
                "fields": fields,
            })
        });
        let structs = self.description.structs.iter().map(|found| {
            let fields = found.body.fields.iter().map(|field| {
                let ty = spell_type(&field.ty, &self.description.structs);
                json!({ "name": field.name, "type": ty, "doc": field.doc })
            });
            json!({ "name": found.name, "doc": found.doc, "fields": fields.collect::<Vec<_>>() })
        });
        json!({
            "pool": self.name,
            "module": self.module,
            "version": self.version,
            "about": self.description.about,
            "methods": methods.collect::<Vec<_>>(),
            "structs": structs.collect::<Vec<_>>(),
        })
    }

    /// The same for people.
    pub(super) fn shown(&self) -> String {
        let mut text = format!("pool '{}' of {} {}\n", self.name, self.module, self.version);
        if let Some(about) = &self.description.about {
            text += &format!("{about}\n");
        }
        for method in &self.methods {
            let task = self.description.task(&method.name);
            text += &format!("\n{}", method.name);
            if let Some(doc) = task.and_then(|task| task.doc.as_ref()) {
                text += &format!("  {}", doc.lines().next().unwrap_or_default());
            }
            text += "\n";
            match task.and_then(|task| task.body.as_ref()) {
                Some(body) => text += &self.fields_shown(body),
                None if method.task_bytes == size_of::<chi_task>() => {}
                None => text += "  (its fields are not described)\n",
            }
        }
        let structs = self.description.structs.iter().filter(|found| !found.body.fields.is_empty());
        for found in structs {
            text += &format!("\nstruct {}\n{}", found.name, self.rows_shown(&found.body, false));
        }
        text
    }

    fn fields_shown(&self, body: &Body) -> String {
        self.rows_shown(body, true)
    }

    fn rows_shown(&self, body: &Body, in_task: bool) -> String {
        let fields = body.fields.iter().filter(|field| field.direction != Direction::Skip);
        let rows = fields.map(|field| {
            [
                if in_task { field.direction.name().to_owned() } else { String::new() },
                field.name.clone(),
                spell_type(&field.ty, &self.description.structs),
                field
                    .doc
                    .as_deref()
                    .unwrap_or_default()
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            ]
        });
        let lines = table::lines([""; 4], rows);
        // In a struct, the first column is empty.
        let start = if in_task { 0 } else { 2 };
        lines.iter().skip(1).map(|line| format!("  {}", &line[start..])).collect()
    }
}
