/* Serializes values and tasks, and compares them with golden files that Rust is tested with too.
 * Then reads damaged bytes: each must be refused, or be the only encoding of a value. */
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <set>

#include "chimaera/chimaera.h"
#include "contract_host.h"
#include "values.h"

#define CHECK(CONDITION)                                                         \
  do {                                                                           \
    if (!(CONDITION)) {                                                          \
      std::fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #CONDITION); \
      std::exit(1);                                                              \
    }                                                                            \
  } while (false)

namespace {

using serial::MemoryArchive;
using serial::SendTask;

std::string Hex(const std::string &text) {
  std::string bytes;
  if (text == "-") return bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 3) {
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

/* The lines of a golden file. */
std::vector<std::string> Lines(const std::string &path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') lines.push_back(line);
  }
  CHECK(!lines.empty());
  return lines;
}

std::map<std::string, std::string> g_values;

void ReadValues(const std::string &path) {
  for (const std::string &line : Lines(path)) {
    const std::size_t colon = line.find(": ");
    g_values[line.substr(0, colon)] = Hex(line.substr(colon + 2));
  }
}

/* Writes the value, reads it and writes it again. */
template <typename T>
T Golden(const char *name, const T &value) {
  const std::string &bytes = g_values.at(name);
  CHECK(chi::ToBytes(value) == bytes);
  T got = chi::FromBytes<T>(bytes);
  CHECK(chi::ToBytes(got) == bytes);
  return got;
}

void TestValues() {
  serial::Scalars scalars;
  scalars.a_ = 1;
  scalars.b_ = 0x203;
  scalars.c_ = 0x4050607;
  scalars.d_ = 0x8090a0b0c0d0e0f;
  scalars.e_ = -1;
  scalars.f_ = -2;
  scalars.g_ = -3;
  scalars.h_ = -4;
  scalars.i_ = 1.5f;
  scalars.j_ = -0.1;
  scalars.k_ = true;
  scalars.color_ = serial::Color::kBlue;
  CHECK(Golden("scalars", scalars).color_ == serial::Color::kBlue);

  serial::Containers all;
  all.text_ = "gr\xc3\xbcn";
  all.bytes_ = {0, 255};
  all.numbers_ = {1, UINT32_MAX};
  all.array_ = {1, -1, 0};
  all.pair_ = {7, "x"};
  all.map_ = {{"", 1}, {"a", 2}, {"ab", 3}};
  all.some_ = 5;
  all.points_ = {{1, 2}, {-1, -2}};
  all.rows_ = {{1}, {}};
  all.flags_ = {true, false};
  const serial::Containers got = Golden("containers", all);
  CHECK(got.text_ == all.text_ && got.map_ == all.map_ && got.rows_ == all.rows_);
  CHECK(got.some_ == 5u && !got.none_.has_value() && got.points_[1].y_ == -2);
  Golden("empty", serial::Containers());

  serial::Addresses addresses;
  addresses.pool_ = chi::PoolId(5, 7);
  addresses.query_ = chi::DomainQuery::LocalHash(9);
  addresses.node_ = {3, 1, 2};
  CHECK(Golden("addresses", addresses).pool_ == addresses.pool_);
}

void TestParams() {
  const serial::Params params{19, "zstd"};
  CHECK(chi::ParamsToBytes(params) == g_values.at("params"));
  CHECK(chi::ParamsFromBytes<serial::Params>(g_values.at("params")).name_ == "zstd");
  CHECK(chi::ParamsToBytes(serial::Params()) == g_values.at("default_params"));
  CHECK(chi::ParamsFromBytes<serial::Params>("").level_ == 0);

  const std::string &bytes = g_values.at("params");
  chi::OwnedTask<chi::CreateTask> task(
      CHI_IPC_MANAGER->NewTask<chi::CreateTask>(HSHM_MCTX, "m:m", "p", bytes));
  CHECK(chi::LoadParams<serial::Params>(task.get()).level_ == 19);
}

/* The message of the error. */
template <typename F>
std::string Refusal(F &&f) {
  try {
    f();
  } catch (const chi::Error &error) {
    CHECK(error.status() == CHI_INVALID);
    return error.what();
  }
  return "nothing was thrown";
}

template <typename T>
void Load(const std::string &bytes) {
  chi::FromBytes<T>(bytes);
}

const std::map<std::string, void (*)(const std::string &)> kLoaders = {
    {"u32", &Load<chi::u32>},
    {"bool", &Load<bool>},
    {"optional", &Load<std::optional<chi::u32>>},
    {"text", &Load<std::string>},
    {"numbers", &Load<std::vector<chi::u32>>},
    {"points", &Load<std::vector<serial::Point>>},
    {"map", &Load<std::map<std::string, chi::u64>>},
    {"tree", &Load<serial::Tree>},
    {"params", [](const std::string &bytes) { chi::ParamsFromBytes<serial::Params>(bytes); }},
};

void TestMalformed(const std::string &path) {
  for (const std::string &line : Lines(path)) {
    const std::size_t colon = line.find(": ");
    const std::size_t second = line.find(": ", colon + 2);
    const std::string bytes = Hex(line.substr(colon + 2, second - colon - 2));
    const std::string got = Refusal([&] { kLoaders.at(line.substr(0, colon))(bytes); });
    if (got != line.substr(second + 2)) {
      std::fprintf(stderr, "%s\n  gave: %s\n", line.c_str(), got.c_str());
      std::exit(1);
    }
  }
}

void TestText(const std::string &path) {
  for (const std::string &line : Lines(path)) {
    const std::size_t arrow = line.find(" => ");
    const std::string text = line.substr(0, arrow);
    const std::string expected = line.substr(arrow + 4);
    serial::Settings settings;
    const std::string why = Refusal([&] { settings = chi::ParamsFromAny<serial::Settings>(text); });
    if (expected[0] == '!') {
      if (why != expected.substr(2)) {
        std::fprintf(stderr, "%s\n  gave: %s\n", line.c_str(), why.c_str());
        std::exit(1);
      }
      continue;
    }
    CHECK(why == "nothing was thrown");
    const std::string bytes = chi::ParamsToBytes(settings);
    CHECK(bytes == Hex(expected));
    CHECK(chi::ParamsToBytes(chi::ParamsFromAny<serial::Settings>(bytes)) == bytes);
  }
  /* Parameters that name no fields cannot be given as text. */
  CHECK(Refusal([] { chi::ParamsFromAny<serial::Params>("level=1"); }).find("byte is 108") !=
        std::string::npos);
}

/* The states of state.txt by their names, and the errors of those that are refused. */
void TestState(const std::string &path) {
  using serial::Known;
  using serial::MemoryState;
  std::map<std::string, MemoryState::Fields> states;
  std::map<std::string, std::string> errors;
  for (const std::string &line : Lines(path)) {
    const std::size_t space = line.find(' ');
    const std::size_t colon = line.find(": ");
    const std::string name = line.substr(0, space);
    const std::string value = line.substr(colon + 2);
    if (line[space + 1] == '!') {
      errors[name] = value;
    } else {
      states[name].emplace_back(std::stoi(line.substr(space + 1)), Hex(value));
    }
  }
  const auto save = [](Known &known) {
    MemoryState state;
    chi::SaveState ar(&state);
    known.State(ar);
    return state.fields_;
  };
  const auto load = [](const MemoryState::Fields &fields, Known &known) {
    MemoryState state(fields);
    chi::LoadState ar(&state);
    known.State(ar);
    ar.Finish();
  };
  Known empty;
  CHECK(save(empty) == states.at("empty"));
  Known known;
  known.count_ = 7;
  known.entries_ = {{"b", 3}, {"ab", 2}, {"a", 1}};
  known.blob_ = {0, 255};
  known.limit_ = 5;
  known.name_ = "gr\xc3\xbcn";
  known.flag_ = true;
  CHECK(save(known) == states.at("full"));
  Known loaded;
  loaded.entries_ = {{"gone", 1}};
  load(states.at("full"), loaded);
  CHECK(save(loaded) == states.at("full"));
  CHECK(loaded.count_ == 7 && loaded.entries_ == known.entries_ && loaded.limit_ == 5u);
  load(states.at("empty"), loaded);
  CHECK(save(loaded) == states.at("empty"));
  load(states.at("partial"), known);
  CHECK(known.count_ == 7 && known.entries_.size() == 3 && known.limit_ == 5u && known.flag_);
  CHECK(known.blob_ == std::vector<chi::u8>{9} && known.name_ == "x");
  for (const auto &error : errors) {
    Known refused;
    const std::string why = Refusal([&] { load(states.at(error.first), refused); });
    if (why != error.second) {
      std::fprintf(stderr, "%s\n  gave: %s\n", error.first.c_str(), why.c_str());
      std::exit(1);
    }
  }

  /* A length that only the whole state could hold, as far as it says. */
  const MemoryState::Fields lies = {{2, std::string("\x09\0\0\0\0\0\0\0", 8)},
                                    {3, std::string(100, 'x')}};
  CHECK(Refusal([&] { load(lies, known); }) ==
        "field 2: the bytes end too early: 8 were expected at byte 8");

  /* Much at once is written past the buffer, after what is in it. */
  known.blob_.assign(300000, 'x');
  load(save(known), loaded);
  CHECK(loaded.blob_ == known.blob_);

  MemoryState state;
  chi::SaveState ar(&state);
  ar.Field(3, known.name_);
  CHECK(Refusal([&] { ar.Field(3, known.flag_); }) ==
        "State visits field 3 after field 3: the numbers must ascend, from 1");
  chi::LoadState in(&state.Rewind());
  CHECK(Refusal([&] { in.Field(0, known.flag_); }) ==
        "State visits field 0 after field 0: the numbers must ascend, from 1");
  state.size = offsetof(chi_state, next_field);
  bool thrown = false;
  try {
    chi::LoadState short_state(&state);
  } catch (const chi::Error &error) {
    thrown = error.status() == CHI_VERSION;
  }
  CHECK(thrown);
}

chi::OwnedTask<SendTask> MakeTask() {
  return chi::OwnedTask<SendTask>(CHI_IPC_MANAGER->NewTask<SendTask>(HSHM_MCTX));
}

std::string Save(const chi::OwnedTask<SendTask> &task, chi::SerializeMode mode) {
  MemoryArchive archive;
  chi::SerializeTask(mode, task.get(), archive);
  return archive.bytes_;
}

void Load(const chi::OwnedTask<SendTask> &task, chi::SerializeMode mode, const std::string &bytes) {
  MemoryArchive archive(bytes);
  chi::SerializeTask(mode, task.get(), archive);
  if (archive.taken_ != bytes.size()) throw chi::Error(CHI_INVALID, "bytes remain");
}

void TestTasks() {
  static_assert(chi::kSerialized<SendTask> && chi::kSerialized<chi::Task> &&
                chi::kSerialized<chi::CreateTask> && chi::kSerialized<chi::DestroyTask>);
  using Mode = chi::SerializeMode;
  auto task = MakeTask();
  const hipc::Owner owner(task.get());
  task->key_ = "key";
  task->numbers_ = std::vector<chi::u32>{1, 2, 3};
  for (const char *word : {"one", "", "three"}) task->words_.emplace_back(word);
  serial::Entry &entry = task->entries_.emplace_back();
  entry.name_.assign(owner, "e");
  entry.size_ = 9;
  const chi::u8 data[] = {1, 2};
  entry.data_.assign(owner, data, 2);
  entry.tags_.emplace_back(owner, "t");
  task->entries_.emplace_back();
  task->turns_ = 4;
  CHECK(Save(task, Mode::kSaveIn) == g_values.at("task_in"));

  auto fresh = MakeTask();
  Load(fresh, Mode::kLoadIn, g_values.at("task_in"));
  CHECK(fresh->key_ == "key" && fresh->words_[2] == "three" && fresh->entries_.size() == 2);
  CHECK(fresh->entries_[0].tags_[0] == "t" && fresh->entries_[0].data_[1] == 2);
  CHECK(Save(fresh, Mode::kSaveIn) == g_values.at("task_in"));
  Load(fresh, Mode::kLoadOut, g_values.at("task_out"));
  CHECK(fresh->turns_ == 5 && fresh->found_pool_ == chi::PoolId(1, 0) && fresh->found_ == "found");
  CHECK(Save(fresh, Mode::kSaveOut) == g_values.at("task_out"));

  /* More than an archive buffers at a time. */
  const std::string large(300000, 'x');
  task->key_ = large;
  Load(fresh, Mode::kLoadIn, Save(task, Mode::kSaveIn));
  CHECK(fresh->key_ == large);

  const std::string why =
      Refusal([&] { chi::LoadArchive(std::string_view("\0\0\0\0\0\0\0\0", 8))(fresh->key_); });
  CHECK(why == "a task's strings and vectors can be read only into a task");
}

/* A damaged variation of `bytes`. */
std::string Damaged(std::string bytes, std::mt19937 &random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (std::size_t left = 1 + below(4); left > 0; --left) {
    const std::size_t at = below(bytes.size() + 1);
    switch (below(5)) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes.insert(at, 1, static_cast<char>(random()));
        break;
      case 2: {
        const chi::u64 lengths[] = {0, 1, bytes.size() - at, UINT32_MAX, UINT64_MAX, 1ull << 61};
        if (bytes.size() - at >= 8) {
          bytes.replace(at, 8, reinterpret_cast<const char *>(&lengths[below(6)]), 8);
        }
        break;
      }
      default:
        if (at < bytes.size()) bytes[at] = static_cast<char>(random());
    }
  }
  return bytes;
}

/* Whether the bytes were refused, as they must be unless writing the value again yields the same
 * bytes. */
bool Refused(const std::string &bytes,
             const std::function<std::string(const std::string &)> &turn) {
  try {
    CHECK(turn(bytes) == bytes);
    return false;
  } catch (const chi::Error &error) {
    CHECK(error.status() == CHI_INVALID);
    return true;
  }
}

void TestDamaged(int rounds) {
  using Mode = chi::SerializeMode;
  const std::map<std::string, std::function<std::string(const std::string &)>> turns = {
      {"scalars",
       [](const std::string &b) { return chi::ToBytes(chi::FromBytes<serial::Scalars>(b)); }},
      {"containers",
       [](const std::string &b) { return chi::ToBytes(chi::FromBytes<serial::Containers>(b)); }},
      {"task_in",
       [](const std::string &b) {
         auto task = MakeTask();
         Load(task, Mode::kLoadIn, b);
         return Save(task, Mode::kSaveIn);
       }},
      {"task_out",
       [](const std::string &b) {
         auto task = MakeTask();
         Load(task, Mode::kLoadOut, b);
         return Save(task, Mode::kSaveOut);
       }},
  };
  std::mt19937 random(1); /* The same in every run. */
  int refused = 0;
  int taken = 0;
  for (int round = 0; round < rounds; ++round) {
    for (const auto &turn : turns) {
      const std::string bytes = Damaged(g_values.at(turn.first), random);
      ++(Refused(bytes, turn.second) ? refused : taken);
    }
  }
  CHECK(refused > rounds / 2 && taken > rounds / 2);
  CHECK(contract::LiveBlocks() == 0);
}

}  // namespace

/* A task with these fields, of which `Visit` says what is sent. */
template <typename Fields>
struct FieldsTask : public chi::Task, public Fields {
  explicit FieldsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), Fields(alloc) {}
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    Fields::Visit(ar);
  }
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

/* Two numbers and a vector. */
template <typename A, typename B, typename E>
struct Plain {
  A a_;
  B b_;
  hipc::vector<E> c_;
  explicit Plain(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : c_(alloc) {}
  template <typename Ar>
  void Visit(Ar &ar) {
    ar(a_, b_, c_);
  }
};

/* How many elements there are is read first, as far as the constructor does not say it. */
struct Resized {
  chi::u32 kept_ = 7;
  hipc::vector<chi::u32> c_;
  explicit Resized(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : c_(alloc) {}
  template <typename Ar>
  void Visit(Ar &ar) {
    chi::u32 n;
    if constexpr (!Ar::kLoads) n = static_cast<chi::u32>(c_.size());
    ar(n);
    if constexpr (Ar::kLoads) c_.resize(n);
  }
};

/* Wants memory for what it has not read. */
struct Allocates {
  chi::u32 kept_ = 7;
  hipc::vector<chi::u32> c_;
  explicit Allocates(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : c_(alloc) {}
  template <typename Ar>
  void Visit(Ar &ar) {
    if constexpr (Ar::kLoads) c_.resize(kept_);
    ar(kept_);
  }
};

/* The same, by way of the task, which is none. */
struct Grows {
  hipc::vector<hipc::vector<chi::u32>> c_;
  explicit Grows(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : c_(alloc) {}
  template <typename Ar>
  void Visit(Ar &ar) {
    chi_task task{};
    if constexpr (Ar::kLoads) c_.resize(hipc::Owner(&task), 4);
    ar(c_);
  }
};

/* Its constructor wants memory. */
struct Filled {
  hipc::string c_;
  explicit Filled(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : c_(alloc, "filled") {}
  template <typename Ar>
  void Visit(Ar &ar) {
    ar(c_);
  }
};

/* A tree of vectors. */
struct Branch {
  chi::u32 leaf_;
  chi::u32 reserved_;
  hipc::vector<Branch> branches_;
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(leaf_, branches_);
  }
};

template <typename Fields>
chi::u32 Fingerprint() {
  const chi::u32 found = chi::detail::FingerprintOf<FieldsTask<Fields>>();
  CHECK(found == chi::detail::FingerprintOf<FieldsTask<Fields>>());
  return found;
}

void TestFingerprints() {
  using chi::u32;
  const u32 plain = Fingerprint<Plain<u32, u32, char>>();
  CHECK((plain & 3) == CHI_DECLARED_IN_CPP && plain >> CHI_TASK_LAYOUT_SIZE_SHIFT == 0);
  const std::set<u32> all = {
      plain,
      Fingerprint<Plain<chi::i32, u32, char>>(),
      Fingerprint<Plain<chi::f32, u32, char>>(),
      Fingerprint<Plain<u32, chi::u16, char>>(),
      Fingerprint<Plain<u32, u32, chi::u64>>(),
      Fingerprint<Plain<u32, u32, hipc::string>>(),
      Fingerprint<Plain<u32, u32, serial::Point>>(),
      Fingerprint<Plain<u32, u32, Branch>>(),
      Fingerprint<Resized>(),
  };
  CHECK(all.size() == 9 && all.count(0) == 0);
  /* An enum is the number that it is stored as, and a bool is none. */
  CHECK((Fingerprint<Plain<serial::Color, u32, char>>() ==
         Fingerprint<Plain<chi::u16, u32, char>>()));
  CHECK((Fingerprint<Plain<bool, u32, char>>() != Fingerprint<Plain<chi::u8, u32, char>>()));
  /* What cannot be visited is not compared. */
  CHECK(Fingerprint<Allocates>() == 0);
  CHECK(Fingerprint<Grows>() == 0);
  CHECK(Fingerprint<Filled>() == 0);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  const std::string golden = argv[1];
  ReadValues(golden + "/values.txt");
  TestValues();
  TestParams();
  TestMalformed(golden + "/malformed.txt");
  TestText(golden + "/params.txt");
  TestState(golden + "/state.txt");
  TestTasks();
  TestFingerprints();
  TestDamaged(20000);
}
