/* Loads modules as a runtime does, and checks them against the contract: what they export, what
 * they describe, what their methods do, and how they fail. */
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "chimaera/ipc_manager.h"
#include "contract_host.h"
#include "life_tasks.h"
#include "mod_name/mod_name_tasks.h"
#include "nested_tasks.h"
#include "throws_method_tasks.h"
#include "values.h"

namespace {

int g_failures = 0;

void Check(bool ok, const char *what, int line) {
  if (ok) return;
  std::fprintf(stderr, "module_contract.cc:%d: %s\n", line, what);
  ++g_failures;
}
#define CHECK(X) Check((X), #X, __LINE__)

bool Contains(const std::string &text, const char *part) {
  return text.find(part) != std::string::npos;
}

template <typename F>
F Symbol(void *library, const char *name) {
  void *symbol = dlsym(library, name);
  CHECK(symbol != nullptr);
  return reinterpret_cast<F>(symbol);
}

const chi_pool_id kPool = {3, 1};
const chi::PoolId kPoolId(3, 1);
const chi::DomainQuery kQuery = chi::DomainQuery::LocalId(0);

contract::LoadedModule Load(const char *path, const char *name) {
  contract::LoadedModule module;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(1);
  }
  CHECK(*Symbol<bool *>(library, "is_chimaera_task_"));
  CHECK(std::string(Symbol<const char *(*)()>(library, "get_module_name")()) == name);
  auto *chi_module =
      Symbol<const chi_module_descriptor *(*)(const chi_host *)>(library, "chi_module");

  chi_host other = *contract::Host();
  other.abi_major = CHI_ABI_MAJOR + 1;
  CHECK(chi_module(&other) == nullptr);
  CHECK(Contains(contract::LastHostError(), "this runtime speaks 2."));
  chi_host small = *contract::Host();
  small.size = 24;
  CHECK(chi_module(&small) == nullptr);

  module.descriptor = chi_module(contract::Host());
  if (module.descriptor == nullptr) {
    std::fprintf(stderr, "%s: %s\n", path, contract::LastHostError().c_str());
    std::exit(1);
  }
  CHECK(chi_module(contract::Host()) == module.descriptor);
  CHECK(module.descriptor->magic == CHI_MODULE_MAGIC);
  CHECK(module.descriptor->size == sizeof(chi_module_descriptor));
  CHECK(module.descriptor->abi_major == CHI_ABI_MAJOR);
  CHECK(module.descriptor->language == CHI_LANG_CPP);
  CHECK(module.descriptor->method_stride == sizeof(chi_method));
  CHECK(module.descriptor->field_stride == sizeof(chi_field_layout));
  CHECK(std::string(module.descriptor->name) == name);
  module.alloc_state = Symbol<void *(*)(const chi_pool_id *, const char *)>(library, "alloc_state");
  module.new_state = Symbol<void *(*)(const chi_pool_id *, const char *)>(library, "new_state");
  return module;
}

/* Creates the container and runs its kCreate. */
void Start(contract::LoadedModule &module) {
  module.container = static_cast<chi_container *>(module.new_state(&kPool, "contract"));
  CHECK(module.container != nullptr);
  CHECK(module.container->ops->size == sizeof(chi_container_ops));
  contract::g_module = &module;
  chi::OwnedTask<chi::CreateTask> create(
      CHI_IPC_MANAGER->NewTask<chi::CreateTask>(HSHM_MCTX, "contract:test", "contract", ""));
  create->method_ = CHI_METHOD_CREATE;
  CHI_IPC_MANAGER->Enqueue(create.get());
  CHECK(create->GetStatus() == CHI_OK);
}

void Stop(contract::LoadedModule &module) {
  module.container->ops->destroy(module.container);
  /* The other way to create a container. */
  auto *again = static_cast<chi_container *>(module.alloc_state(&kPool, "again"));
  CHECK(again != nullptr);
  CHECK(again->ops->init(again, &kPool, "again") == CHI_OK);
  again->ops->destroy(again);
  CHECK(contract::LiveBlocks() == 0);
}

template <typename T, typename... Args>
chi::OwnedTask<T> RunTask(Args &&...args) {
  return chi::OwnedTask<T>(
      CHI_IPC_MANAGER->SubmitTask<T>(HSHM_MCTX, kPoolId, kQuery, std::forward<Args>(args)...));
}

/* A task whose inputs were sent to another task, and whose results came back. */
void TestElsewhere(contract::LoadedModule &module) {
  using example::mod_name::CompressTask;
  const auto serialize = [&](chi::OwnedTask<CompressTask> &task, uint32_t mode,
                             serial::MemoryArchive &archive) {
    return module.container->ops->serialize(module.container, 10, task.get().ptr_, mode, &archive);
  };
  const auto make = [](std::string_view data) {
    return chi::OwnedTask<CompressTask>(
        CHI_IPC_MANAGER->NewTask<CompressTask>(HSHM_MCTX, kPoolId, kQuery, data));
  };
  auto here = make("a text, a text, a text");
  auto there = make("");
  serial::MemoryArchive ins;
  CHECK(serialize(here, CHI_SERIALIZE_SAVE_IN, ins) == CHI_OK);
  CHECK(serialize(there, CHI_SERIALIZE_LOAD_IN, ins) == CHI_OK);
  CHECK(there->data_.view() == "a text, a text, a text");
  CHI_IPC_MANAGER->Enqueue(there.get());
  serial::MemoryArchive outs;
  CHECK(serialize(there, CHI_SERIALIZE_SAVE_OUT, outs) == CHI_OK);
  CHECK(serialize(here, CHI_SERIALIZE_LOAD_OUT, outs) == CHI_OK);
  CHECK(!here->output_.empty() && here->output_.view() == there->output_.view());

  serial::MemoryArchive cut(ins.bytes_.substr(0, 20));
  CHECK(serialize(here, CHI_SERIALIZE_LOAD_IN, cut) == CHI_INVALID);
  CHECK(Contains(contract::LastHostError(), "a length of 22 at byte 4"));
  CHECK(serialize(here, 9, ins) == CHI_UNSUPPORTED);
  CHECK(module.container->ops->serialize(module.container, 10, here.get().ptr_, 0, nullptr) ==
        CHI_VERSION);
}

void TestCompressor(const char *path) {
  using example::mod_name::CompressTask;
  using example::mod_name::DecompressTask;
  contract::LoadedModule module = Load(path, "example:mod_name");
  const chi_method *compress = contract::FindMethod(module.descriptor, 10);
  CHECK(compress != nullptr && std::string(compress->name_) == "kCompress");
  /* Its author has declared the task, and the fingerprint is that of what is serialised. */
  const chi::u32 below = (chi::u32{1} << CHI_METHOD_DESCRIPTION_SHIFT) - 1;
  CHECK((compress->flags_ & below) == (CHI_METHOD_SUPPORTED | CHI_METHOD_MONITORED |
                                       CHI_METHOD_SERIALIZED | CHI_METHOD_DECLARED));
  CHECK((compress->flags_ >> CHI_METHOD_DESCRIPTION_SHIFT & 3) == CHI_DECLARED_IN_CPP);
  CHECK(compress->flags_ >> CHI_METHOD_DESCRIPTION_SHIFT !=
        contract::FindMethod(module.descriptor, 11)->flags_ >> CHI_METHOD_DESCRIPTION_SHIFT);
  CHECK(compress->task_size_ == 152 && compress->n_fields_ == 2);
  CHECK(compress->fields_[0].offset_ == 72 && compress->fields_[1].offset_ == 112);
  CHECK(compress->fields_[0].kind_ == CHI_FIELD_VECTOR && compress->fields_[0].elem_size_ == 1);
  CHECK(contract::FindMethod(module.descriptor, 2)->flags_ == 0);
  CHECK((contract::FindMethod(module.descriptor, 0)->flags_ & below) ==
        (CHI_METHOD_SUPPORTED | CHI_METHOD_SERIALIZED | CHI_METHOD_DECLARED));
  Start(module);
  CHECK(module.container->ops->del == nullptr);
  /* Without a State it cannot be saved. */
  CHECK(module.container->ops->save == nullptr && module.container->ops->load == nullptr &&
        module.container->ops->resume == nullptr);

  for (const std::size_t size : {0u, 1u, 1000u, 131072u, 3000001u}) {
    std::string text(size, 'x');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * i >> 7);
    auto small = RunTask<CompressTask>(text, 5);
    CHECK(small->GetStatus() == CHI_OK);
    CHECK(contract::g_chosen_lane != nullptr);
    auto large = RunTask<DecompressTask>(small->output_.view(), size);
    CHECK(large->GetStatus() == CHI_OK && large->output_.view() == text);
    if (size == 0) continue;
    auto beyond = RunTask<DecompressTask>(small->output_.view(), size - 1);
    CHECK(beyond->GetStatus() == CHI_TOO_LARGE && Contains(beyond->GetMessage(), "inflates"));
    auto cut =
        RunTask<DecompressTask>(small->output_.view().substr(0, small->output_.size() - 1), size);
    CHECK(cut->GetStatus() == CHI_INVALID && Contains(cut->GetMessage(), "too early"));
  }
  TestElsewhere(module);
  {
    auto wrong = RunTask<DecompressTask>("this is not a zstd frame", 100);
    CHECK(wrong->GetStatus() == CHI_INVALID && Contains(wrong->GetMessage(), "valid zstd frame"));
    auto level = RunTask<CompressTask>("text", 99);
    CHECK(level->GetStatus() == CHI_INVALID && Contains(level->GetMessage(), "99"));
    bool thrown = false;
    try {
      level->ThrowIfFailed();
    } catch (const chi::Error &error) {
      thrown = error.status() == CHI_INVALID;
    }
    CHECK(thrown);
  }
  std::set<chi_lane *> lanes;
  for (std::size_t i = 0; i < contract::g_lanes.size(); ++i) {
    RunTask<CompressTask>("text");
    lanes.insert(contract::g_chosen_lane);
  }
  CHECK(lanes.size() == contract::g_lanes.size());

  chi_run_context rctx{};
  chi_task task{};
  CHECK(module.container->ops->run(module.container, 999, &task, &rctx) == CHI_NO_METHOD);

  {
    /* The context of a runtime of ABI 1.0 ends before `est_ns_`: nothing behind it is written. */
    rctx.size = offsetof(chi_run_context, est_ns_);
    rctx.est_ns_ = 42;
    auto compressed = RunTask<CompressTask>("text");
    CHECK(module.container->ops->monitor(module.container, CHI_MONITOR_EST_LOAD,
                                         compressed->method_, &*compressed, &rctx) == CHI_OK);
    CHECK(rctx.est_ns_ == 42);
    /* What it has is still used. */
    CHECK(module.container->ops->monitor(module.container, CHI_MONITOR_LOCAL_SCHEDULE,
                                         compressed->method_, &*compressed, &rctx) == CHI_OK);
    CHECK(rctx.lane_ != nullptr && rctx.est_ns_ == 42);
  }
  Stop(module);
}

void TestThrows(const char *ctor, const char *method) {
  contract::LoadedModule module = Load(ctor, "test:throws_ctor");
  CHECK(module.new_state(&kPool, "contract") == nullptr);
  CHECK(Contains(contract::LastHostError(), "the constructor of test:throws_ctor throws"));

  using test::throws_method::EchoTask;
  using test::throws_method::Method;
  using test::throws_method::NumberTask;
  using test::throws_method::PlainTask;
  module = Load(method, "test:throws_method");
  Start(module);
  {
    auto thrown = RunTask<PlainTask>(Method::kThrow);
    CHECK(thrown->GetStatus() == CHI_FAILED && thrown->GetMessage() == "kThrow always throws");
    auto number = RunTask<PlainTask>(Method::kThrowInt);
    CHECK(number->GetStatus() == CHI_FAILED && Contains(number->GetMessage(), "type int"));
    auto unsupported = RunTask<PlainTask>(Method::kUnsupported);
    CHECK(unsupported->GetStatus() == CHI_UNSUPPORTED);
    CHECK(RunTask<NumberTask>(Method::kSleep, 1000u)->GetStatus() == CHI_OK);
    CHECK(RunTask<NumberTask>(Method::kYield, 10u)->GetStatus() == CHI_OK);
    auto echo = RunTask<EchoTask>("echo");
    CHECK(echo->GetStatus() == CHI_OK && echo->output_.view() == "echo");
  }
  Stop(module);
}

void TestNested(const char *path) {
  using test::nested::Row;
  using test::nested::SwapTask;
  contract::LoadedModule module = Load(path, "test:nested");
  const chi_method *swap = contract::FindMethod(module.descriptor, 10);
  CHECK(swap->task_size_ == sizeof(SwapTask) && swap->n_fields_ == 6);
  const chi_field_layout &rows = swap->fields_[1];
  CHECK(rows.kind_ == CHI_FIELD_VECTOR && rows.elem_size_ == sizeof(Row));
  CHECK(rows.n_elem_fields_ == 2 && rows.elem_fields_[0].kind_ == CHI_FIELD_STRING);
  CHECK(rows.elem_fields_[0].offset_ == offsetof(Row, name_));
  CHECK(rows.elem_fields_[1].offset_ == offsetof(Row, words_));
  CHECK(rows.elem_fields_[1].n_elem_fields_ == 1);
  CHECK(rows.elem_fields_[1].elem_fields_[0].kind_ == CHI_FIELD_STRING);
  CHECK(swap->fields_[5].n_elem_fields_ == 0 && swap->fields_[5].elem_size_ == 16);
  Start(module);
  {
    chi::OwnedTask<SwapTask> task(
        CHI_IPC_MANAGER->NewTask<SwapTask>(HSHM_MCTX, chi::MakeTaskNode(), kPoolId, kQuery));
    CHECK(task->task_node_.root_ == 7);
    const hipc::Owner owner(task.get());
    task->part_.text_ = "part";
    task->part_.number_ = 1;
    task->pairs_.emplace_back(2u, 3u);
    for (const char *name : {"one", "two", "three"}) {
      Row &row = task->in_.emplace_back();
      row.name_.assign(owner, name);
      row.numbers_ = {1, 2};
      row.words_.resize(owner, 1);
      row.words_[0].assign(owner, "first");
      row.words_.emplace_back(owner, "second");
    }
    bool thrown = false;
    try {
      task->in_[0].name_ = "without an owner";
    } catch (const chi::Error &error) {
      thrown = Contains(error.what(), "hipc::Owner");
    }
    CHECK(thrown);
    CHI_IPC_MANAGER->Enqueue(task.get());
    CHECK(task->GetStatus() == CHI_OK);
    CHECK(task->out_.size() == 3 && task->out_[0].name_ == "three" && task->out_[2].name_ == "one");
    CHECK(task->out_[0].numbers_.first == 2 && task->out_[0].numbers_.second == 1);
    CHECK(task->out_[1].words_[0] == "second" && task->out_[1].words_[1].str() == "first");
    CHECK(task->part_.text_ == "part!" && task->part_.number_ == 6);
    CHECK(task->plain_[0].empty() && task->plain_[1] == "second");
  }
  Stop(module);
}

chi_status Save(contract::LoadedModule &module, serial::MemoryState &state) {
  return module.container->ops->save(module.container, &state);
}
chi_status Load(contract::LoadedModule &module, serial::MemoryState &state) {
  return module.container->ops->load(module.container, &state.Rewind());
}

/* Makes a container of the module, with these parameters, the one in which tasks run. */
void Make(contract::LoadedModule &module, const char *params) {
  module.container = static_cast<chi_container *>(module.new_state(&kPool, "life"));
  contract::g_module = &module;
  chi::OwnedTask<chi::CreateTask> create(
      CHI_IPC_MANAGER->NewTask<chi::CreateTask>(HSHM_MCTX, "test:life", "life", params));
  create->method_ = CHI_METHOD_CREATE;
  CHI_IPC_MANAGER->Enqueue(create.get());
  CHECK(create->GetStatus() == CHI_OK);
}

void Drop(contract::LoadedModule &module) { module.container->ops->destroy(module.container); }

/* Runs one of the methods of a container's life. */
chi_status Live(contract::LoadedModule &module, chi::u32 method, chi::LifeReason reason,
                const char *old_version) {
  const chi_method *described = contract::FindMethod(module.descriptor, method);
  CHECK(described != nullptr && described->task_size_ == sizeof(chi_life_task));
  CHECK(described->flags_ == CHI_METHOD_SUPPORTED);
  chi_life_task task{};
  task.reason_ = static_cast<chi::u32>(reason);
  task.message_text_ = "because";
  task.old_version_ = old_version;
  task.directory_ = "/nowhere";
  chi_run_context rctx{};
  rctx.size = sizeof(rctx);
  return module.container->ops->run(module.container, method, &task.task, &rctx);
}

void TestLife(const char *first, const char *second) {
  using test::life::CheckTask;
  using test::life::KeyTask;
  using test::life::Method;
  using test::life::ValueTask;
  contract::LoadedModule old = Load(first, "test:life");
  contract::LoadedModule next = Load(second, "test:life");
  CHECK(std::string(old.descriptor->version) == "1.0.0");
  CHECK(std::string(next.descriptor->version) == "2.0.0");
  Make(old, "");
  for (const char *key : {"b", "a", "b"}) {
    CHECK(RunTask<KeyTask>(Method::kAdd, key, 2u)->GetStatus() == CHI_OK);
  }
  CHECK(RunTask<ValueTask>(Method::kGrow, 1000000u)->GetStatus() == CHI_OK);
  auto before = RunTask<CheckTask>();
  CHECK(before->count_ == 6 && before->n_entries_ == 2 && before->blob_size_ == 1000000);

  serial::MemoryState state;
  CHECK(Save(old, state) == CHI_OK);
  CHECK(state.fields_.size() == 3 && state.fields_[2].second.size() == 1000008);
  CHECK(RunTask<CheckTask>()->released_ == 1);
  CHECK(old.container->ops->resume(old.container) == CHI_OK);
  CHECK(RunTask<CheckTask>()->resumed_ == 1);
  Drop(old);

  Make(next, "");
  CHECK(Load(next, state) == CHI_OK);
  CHECK(Live(next, CHI_METHOD_UPGRADE, chi::LifeReason::kUpgraded, "1.0.0") == CHI_OK);
  auto after = RunTask<CheckTask>();
  CHECK(after->count_ == 6 && after->n_entries_ == 2 && after->blob_hash_ == before->blob_hash_);
  CHECK(after->extra_ == 4000 && after->upgraded_ == 1 && after->object_ != before->object_);
  CHECK(after->reason_ == CHI_REASON_UPGRADED && after->message_text_ == "because");
  CHECK(after->old_version_ == "1.0.0" && after->directory_ == "/nowhere");
  CHECK(RunTask<KeyTask>(Method::kGet, "b")->result_ == 4);
  serial::MemoryState newer;
  CHECK(Save(next, newer) == CHI_OK && newer.fields_.size() == 4);
  Drop(next);

  /* Back to the version that does not know the field. */
  Make(old, "");
  CHECK(Load(old, newer) == CHI_OK);
  CHECK(Live(old, CHI_METHOD_RECOVER, chi::LifeReason::kKilled, "") == CHI_OK);
  auto back = RunTask<CheckTask>();
  CHECK(back->count_ == 6 && back->recovered_ == 1 && back->old_version_ == "");
  newer.fields_[0].second.pop_back();
  CHECK(Load(old, newer) == CHI_INVALID);
  CHECK(Contains(contract::LastHostError(), "field 1: the bytes end too early"));
  CHECK(Save(old, newer) == CHI_INVALID);
  CHECK(Contains(contract::LastHostError(), "field 1: cannot begin the field"));
  Drop(old);

  const auto failing = [&](const char *params) -> contract::LoadedModule & {
    Make(old, params);
    return old;
  };
  serial::MemoryState other;
  CHECK(Save(failing("fail=save"), other) == CHI_FAILED);
  CHECK(contract::LastHostError() == "saving fails in test:life");
  CHECK(RunTask<CheckTask>()->released_ == 0);
  Drop(old);
  CHECK(Load(failing("fail=load"), state) == CHI_FAILED);
  Drop(old);
  CHECK(Live(failing("fail=migrate"), CHI_METHOD_MIGRATE, chi::LifeReason::kMigrated, "") ==
        CHI_FAILED);
  Drop(old);
  failing("fail=resume");
  CHECK(old.container->ops->resume(old.container) == CHI_FAILED);
  Drop(old);
}

void TestPlain(const char *path, const char *name) {
  contract::LoadedModule module = Load(path, name);
  Start(module);
  CHECK(RunTask<test::throws_method::PlainTask>(10)->GetStatus() == CHI_OK);
  Stop(module);
}

/* The IPC manager is a separate object that refers to the table, and always the same one for a
 * table. */
void TestManager() {
  auto *ipc_manager = CHI_IPC_MANAGER;
  CHECK(ipc_manager->table() == chi_ipc_manager());
  CHECK(static_cast<const void *>(ipc_manager) != ipc_manager->table());
  CHECK(ipc_manager == CHI_IPC_MANAGER);
}

void TestErrors() {
  bool thrown = false;
  try {
    CHI_IPC_MANAGER->FindPool("nobody");
  } catch (const chi::Error &error) {
    thrown =
        error.status() == CHI_NO_POOL && std::string(error.what()) == "the pool does not exist";
  }
  CHECK(thrown);
  const chi_buffer buffer = CHI_IPC_MANAGER->AllocBuffer(100);
  {
    auto task = chi::OwnedTask<example::mod_name::CompressTask>(
        CHI_IPC_MANAGER->NewTask<example::mod_name::CompressTask>(HSHM_MCTX, kPoolId, kQuery, ""));
    task->data_.attach(buffer, 100);
    CHECK(task->data_.data() == buffer.data_ && task->data_.size() == 100);
    const std::vector<char> bytes = {'a', 'b'};
    task->output_ = bytes;
    task->output_.resize(4);
    task->output_.push_back('c');
    CHECK(task->output_.CopyOut() == std::vector<char>({'a', 'b', 0, 0, 'c'}));
  }
  CHI_IPC_MANAGER->FreeBuffer(buffer);
  CHECK(contract::LiveBlocks() == 0);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 8) {
    std::fprintf(stderr, "usage: %s mod_name empty throws_ctor throws_method nested life life_2\n",
                 argv[0]);
    return 2;
  }
  TestManager();
  TestErrors();
  TestCompressor(argv[1]);
  TestPlain(argv[2], "example:empty");
  TestThrows(argv[3], argv[4]);
  TestNested(argv[5]);
  TestLife(argv[6], argv[7]);
  CHECK(contract::LiveBlocks() == 0);
  return g_failures == 0 ? 0 : 1;
}
