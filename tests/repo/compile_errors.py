"""Mistakes of a module's author that must not compile, and the errors that the compilers must report.

Each mistake is made in a copy of modules created by `chimaera module new`, with a method kMove."""

import shutil
import subprocess
import sys

DISPATCH = '#include "{module}_lib_exec.h"\n'
HEADER = "include/{module}/{module}_tasks.h"
SOURCE = "src/{module}_runtime.cc"
YAML = "chimaera_mod.yaml"
MOVE = "struct MoveTask : public chi::Task {\n"
RUN = "  void Move(hipc::FullPtr<MoveTask>, chi::RunContext &) {}\n"

# A mistake: its name, the file, the text to replace and its replacement, and what each compiler
# must report.
CPP = [
    ("the generated dispatch is not included", SOURCE, DISPATCH, "",
     ["the generated dispatch is missing: include <module>_lib_exec.h"]),
    ("a method in the YAML but not in the class", SOURCE, RUN, "", ["Move", "Runtime"]),
    ("a method in the YAML without a task", YAML, "kMove:", "kGone: 77\nkMove:", ["GoneTask"]),
    ("a method that takes another task", SOURCE, "hipc::FullPtr<MoveTask>",
     "hipc::FullPtr<EchoTask>", ["FullPtr<{namespace}::{module}::EchoTask>"]),
    ("a private method", SOURCE, " public:\n", " private:\n", ["private", "Echo"]),
    ("a task whose method is not in the YAML", YAML, "kMove", "kCarry", ["kMove", "Method"]),
    ("a std::string in a task", HEADER, MOVE, MOVE + "  std::string text_;\n",
     ["a task is in shared memory, where no destructor runs: use hipc::string"]),
    ("a virtual function in a task", HEADER, MOVE, MOVE + "  virtual void F() {}\n",
     ["a task is read by other processes and languages, which cannot call virtual functions"]),
    ("a task that is too large", HEADER, MOVE, MOVE + "  char data_[20000];\n",
     ["a task's body is at most CHI_MAX_TASK_SIZE bytes"]),
    ("a Runtime with another base class", SOURCE, " : public chi::ContainerRuntime", "",
     ["a module's Runtime must derive from chi::ContainerRuntime"]),
    ("CHI_TASK_CC of another module", SOURCE, "CHI_TASK_CC({module})", "CHI_TASK_CC(other)",
     ["other"]),
]

PARAMS = "params: {fields: [{name: level, type: i32}]}\nkMove:"
CPP.append(("parameters in the YAML without a Create that takes them", YAML, "kMove:", PARAMS,
            ["chimaera_mod.yaml describes pool parameters", "const Params &"]))

CLIENT = "client/src/lib.rs"
RUNTIME = "runtime/src/lib.rs"
STRUCT = "pub struct MoveTask {}"
METHOD = '#[method(Method::MOVE, name = "kMove")]'
NO_FIELD = ["cannot be part of a task", "for text `ShmString`"]


def field(kind):
    """A task with a field of this type."""
    return f"pub struct MoveTask {{\n    pub field: {kind},\n}}"


RUST = [
    ("a method in the YAML but not in the container", YAML, "kMove:", "kGone: 77\nkMove:",
     ['declared.method(77, "kGone")', "the container has no function for it"]),
    ("a method whose function has no attribute", RUNTIME, METHOD, "#[allow(dead_code)]",
     ['"kMove"', "the container has no function for it"]),
    ("a method with another name", RUNTIME, METHOD,
     '#[method(Method::MOVE, name = "kCarry")]',
     ['"kMove"', "the container gives this number to another method"]),
    ("a method whose number is not in the YAML", RUNTIME, METHOD,
     '#[method(78, name = "kMore")]\n    fn more(&self, _task: &MoveTask) {}\n    ' + METHOD,
     ["the container has a method that is not in chimaera_mod.yaml"]),
    ("a task whose method is not in the YAML", YAML, "kMove", "kCarry", ["MOVE", "Method"]),
    ("a method of its life in the YAML but not in the container", YAML, "kMigrate: -1",
     "kMigrate: 4", ['declared.method(4, "kMigrate")', "write `#[migrate] fn migrate"]),
    ("a method of its life in the container but not in the YAML", RUNTIME, METHOD,
     "#[upgrade]\n    fn upgrade(&self, _task: &chimaera::module::LifeTask) {}\n    " + METHOD,
     ['declared.unsupported(5, "kUpgrade")', "has -1 for this method, but the container runs it"]),
    ("a method of its life that takes another task", RUNTIME, METHOD,
     '#[method(4, name = "kMigrate")]\n    fn migrate(&self, _task: &MoveTask) {}\n    ' + METHOD,
     ["mark their functions #[node_failure], #[recover], #[migrate] and #[upgrade]"]),
    ("what happens to a state in a container without one", RUNTIME, METHOD,
     "#[release]\n    fn release(&self) {}\n    " + METHOD,
     ["write `state` in `#[container(..)]`"]),
    ("a container that says it has a state, but has none", RUNTIME, "#[chimaera::container(name = ",
     "#[chimaera::container(state, name = ", ["says `state`, but has none"]),
    ("a String in a task", CLIENT, STRUCT, field("String"), NO_FIELD),
    ("a Vec in a task", CLIENT, STRUCT, field("Vec<u8>"), NO_FIELD),
    ("a Box in a task", CLIENT, STRUCT, field("Box<u32>"), NO_FIELD),
    ("a reference in a task", CLIENT, STRUCT, field("&'static str"), NO_FIELD),
    ("a raw pointer in a task", CLIENT, STRUCT, field("*const u8"), NO_FIELD),
    ("a bool in a task", CLIENT, STRUCT, field("bool"), ["for a flag use `Cell<u32>`"]),
    ("parameters in the YAML without a create that takes them", YAML, "kMove:", PARAMS,
     ["declared.params()", "chimaera_mod.yaml describes what a pool is created with"]),
    ("panic = abort", "../Cargo.toml", "[workspace]\n",
     '[profile.dev]\npanic = "abort"\n\n[workspace]\n',
     ['a ChiMod cannot be built with panic = "abort"']),
]


class Mistake:
    """A mistake, which is in the module while this is open."""

    def __init__(self, module, names, mistake):
        _, file, there, instead, _ = mistake
        self.path = module / file.format(**names)
        self.there, self.instead = there.format(**names) if "{module}" in there else there, instead
        self.text = self.path.read_text(encoding="utf-8")

    def __enter__(self):
        if self.there not in self.text:
            sys.exit(f"{self.path} does not contain {self.there!r}")
        text = self.text.replace(self.there, self.instead, 1)
        self.path.write_text(text, encoding="utf-8")

    def __exit__(self, *_):
        self.path.write_text(self.text, encoding="utf-8")


def refused(command, names, mistake, **options):
    """Runs a compiler, which must refuse the mistake and report everything expected."""
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **options)
    name, *_, says = mistake
    for words in says:
        words = words.format(**names) if "{module}" in words else words
        if done.returncode == 0 or words not in done.stdout:
            sys.exit(f"{name}: compiles, or the compiler does not report {words!r}:\n{done.stdout}")


def check_cpp(chimaera, source, module, namespace):
    """Makes every mistake in the C++ module, with each installed compiler."""
    names = {"module": module.name, "namespace": namespace}
    for mistake in CPP:
        with Mistake(module, names, mistake):
            subprocess.run([chimaera, "repo", "refresh", module], check=True, capture_output=True)
            for compiler in filter(shutil.which, ["g++", "clang++"]):
                command = [compiler, "-std=c++17", "-fsyntax-only", "-fvisibility=hidden",
                           "-DCHIMAERA_RUNTIME", f"-DCHI_MODULE_NAMESPACE={namespace}",
                           f"-I{source}/include", f"-I{module}/include", f"-I{module}/autogen",
                           module / SOURCE.format(**names)]
                refused(command, names, mistake)
    subprocess.run([chimaera, "repo", "refresh", module], check=True, capture_output=True)


def check_rust(cargo, environment, module):
    """Makes every mistake in the Rust module."""
    for mistake in RUST:
        with Mistake(module, {"module": module.name}, mistake):
            refused([cargo, "build", "--quiet"], {"module": module.name}, mistake,
                    cwd=module.parent, env=environment)
