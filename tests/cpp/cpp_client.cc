/* A C++ client, driven by the whole-system tests:
 *
 *     cpp_client [--instance NAME] COMMAND [ARGUMENT...] [-- COMMAND [ARGUMENT...]]...
 *
 * All commands share one session. Each prints one line of JSON with its status and its results. The
 * pools are test_compress, test_kv and test_throws; c_client uses the same ones. */
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "caller_tasks.h"
#include "json.h"
#include "kv/kv_client.h"
#include "mod_name/mod_name_client.h"
#include "nested_tasks.h"
#include "throws_method_tasks.h"

namespace {

using Arguments = std::vector<std::string>;
using test::throws_method::EchoTask;
using test::throws_method::NumberTask;
using test::throws_method::PlainTask;

const chi::DomainQuery kQuery = chi::DomainQuery::Dynamic();
const chi::PoolId kNoPool(60000, 60000);
constexpr chi::u32 kNoMethod = 999;

/** The results of a command, as members of its line of JSON. */
class Output {
 public:
  void Add(const std::string &key, const std::string &value) {
    members_.push_back([key, value] { json_string(key.c_str(), value.data(), value.size()); });
  }
  void Add(const std::string &key, chi::u64 value) {
    members_.push_back([key, value] {
      std::printf("\"%s\":%llu", key.c_str(), static_cast<unsigned long long>(value));
    });
  }
  void Add(const std::string &key, const std::vector<std::string> &values) {
    members_.push_back([key, values] {
      std::printf("\"%s\":[", key.c_str());
      for (std::size_t i = 0; i < values.size(); ++i) {
        std::printf("%s", i == 0 ? "" : ",");
        json_text(values[i].data(), values[i].size());
      }
      std::printf("]");
    });
  }
  void Print(const std::string &command, chi_status status, const std::string &message) const {
    std::printf("{");
    json_string("command", command.data(), command.size());
    std::printf(",\"status\":%d,\"name\":\"%s\",", status, chi_status_name(status));
    json_string("message", message.data(), message.size());
    for (const auto &member : members_) {
      std::printf(",");
      member();
    }
    std::printf("}\n");
    std::fflush(stdout);
  }

 private:
  std::vector<std::function<void()>> members_;
};

/** `"@file"`: the contents of the file; `"N"`: this many bytes that compress, but not to almost
 * nothing. */
std::string Bytes(const std::string &what) {
  if (!what.empty() && what[0] == '@') {
    std::ifstream file(what.substr(1), std::ios::binary);
    if (!file) throw chi::Error(CHI_IO, "cannot read " + what.substr(1));
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  std::string bytes(std::stoull(what), '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>((i * i) >> 9);
  return bytes;
}

template <typename ClientT>
ClientT Open(const char *pool) {
  ClientT client;
  client.Create(HSHM_MCTX, pool);
  return client;
}

/** Sends a task to a pool and waits for it. Throws if it failed. */
template <typename T, typename... Args>
chi::OwnedTask<T> Send(const chi::PoolId &pool, Args &&...args) {
  chi::OwnedTask<T> task(
      CHI_IPC_MANAGER->SubmitTask<T>(HSHM_MCTX, pool, kQuery, std::forward<Args>(args)...));
  task->Wait();
  task->ThrowIfFailed();
  return task;
}

example::mod_name::Client Compressor() { return Open<example::mod_name::Client>("test_compress"); }
chimaera::kv::Client Kv() { return Open<chimaera::kv::Client>("test_kv"); }
chi::PoolId Throws() { return CHI_IPC_MANAGER->CreatePool("test:throws_method", "test_throws"); }

void Roundtrip(const Arguments &args, Output &out) {
  example::mod_name::Client client = Compressor();
  const std::string bytes = Bytes(args.at(0));
  const int level = args.size() > 1 ? std::stoi(args[1]) : 0;
  const std::string frame = client.Compress(HSHM_MCTX, kQuery, bytes, level);
  const std::string again = client.Decompress(HSHM_MCTX, kQuery, frame, bytes.size());
  out.Add("bytes", bytes.size());
  out.Add("compressed", frame.size());
  out.Add("equal", chi::u64{again == bytes});
}

void Oversize(const Arguments &, Output &) {
  example::mod_name::Client client = Compressor();
  const std::string frame = client.Compress(HSHM_MCTX, kQuery, std::string(1000000, 'x'));
  client.Decompress(HSHM_MCTX, kQuery, frame, 999999);
}

void Echo(const Arguments &args, Output &out) {
  const std::string bytes = Bytes(args.at(0));
  chi::OwnedTask<EchoTask> task = Send<EchoTask>(Throws(), bytes);
  out.Add("bytes", bytes.size());
  out.Add("equal", chi::u64{task->output_.view() == bytes});
}

void Call(const Arguments &args, Output &out) {
  const chi::PoolId pool = CHI_IPC_MANAGER->CreatePool("test:caller", "test_caller");
  const auto width = static_cast<chi::u32>(std::stoul(args.at(1)));
  auto task = Send<test::caller::CallTask>(pool, "test_compress", Bytes(args.at(0)), width);
  out.Add("width", width);
  out.Add("equal", task->equal_);
}

/** Sends rows of strings to test:nested, which reverses them. */
void Nested(const Arguments &, Output &out) {
  using test::nested::Row;
  using test::nested::SwapTask;
  const chi::PoolId pool = CHI_IPC_MANAGER->CreatePool("test:nested", "test_nested");
  chi::OwnedTask<SwapTask> task(CHI_IPC_MANAGER->NewTask<SwapTask>(HSHM_MCTX, pool, kQuery));
  const hipc::Owner owner(task.get());
  task->part_.text_ = "part";
  task->part_.number_ = 1;
  task->pairs_.emplace_back(2u, 3u);
  for (const char *name : {"one", "two"}) {
    Row &row = task->in_.emplace_back();
    row.name_.assign(owner, name);
    for (const char *word : {"a", "b"}) row.words_.emplace_back(owner, word);
  }
  CHI_IPC_MANAGER->Enqueue(task.get());
  task->Wait();
  task->ThrowIfFailed();
  std::vector<std::string> texts;
  for (const Row &row : task->out_) {
    texts.push_back(row.name_.str());
    for (const hipc::string &word : row.words_) texts.push_back(word.str());
  }
  out.Add("rows", texts);
  out.Add("text", task->part_.text_.str());
  out.Add("number", task->part_.number_);
  out.Add("plain", task->plain_[1].str());
}

void SendPlain(const chi::PoolId &pool, chi::u32 method) { Send<PlainTask>(pool, method); }
void SendNumber(chi::u32 method, const std::string &number) {
  Send<NumberTask>(Throws(), method, std::stoull(number));
}

using Command = std::function<void(const Arguments &, Output &)>;
using test::throws_method::Method;

const std::map<std::string, Command> kCommands = {
    {"roundtrip", Roundtrip},
    {"oversize", Oversize},
    {"corrupt",
     [](const Arguments &, Output &) {
       Compressor().Decompress(HSHM_MCTX, kQuery, "this is not a zstd frame", 1000);
     }},
    {"bad-level",
     [](const Arguments &, Output &) { Compressor().Compress(HSHM_MCTX, kQuery, "text", 99); }},
    {"no-module",
     [](const Arguments &, Output &) { CHI_IPC_MANAGER->CreatePool("test:nothing", "test_none"); }},
    {"other-module",
     [](const Arguments &, Output &) {
       Compressor();
       CHI_IPC_MANAGER->CreatePool("chimaera:kv", "test_compress");
     }},
    {"limited-kv",
     [](const Arguments &args, Output &out) {
       chimaera::kv::Client kv;
       chimaera::kv::Params params;
       params.max_bytes_ = std::stoull(args.at(1));
       kv.Create(HSHM_MCTX, args.at(0), params);
       out.Add("major", chi::u64{kv.pool_id_.major_});
       kv.Put(HSHM_MCTX, kQuery, "key", args.at(2));
     }},
    {"malformed-kv",
     [](const Arguments &args, Output &) {
       CHI_IPC_MANAGER->CreatePool("chimaera:kv", args.at(0), "\1\2");
     }},
    {"unknown-pool", [](const Arguments &, Output &) { SendPlain(kNoPool, kNoMethod); }},
    {"unknown-name", [](const Arguments &, Output &) { CHI_IPC_MANAGER->FindPool("nobody"); }},
    {"find-zero",
     [](const Arguments &, Output &) {
       CHI_IPC_MANAGER->FindPool({"a\0b", 3});
     }},
    {"find-of-zero",
     [](const Arguments &, Output &) {
       CHI_IPC_MANAGER->FindPoolOf("test:throws", {"a\0b", 3});
     }},
    {"create-zero",
     [](const Arguments &, Output &) {
       CHI_IPC_MANAGER->CreatePool("test:throws", {"a\0b", 3});
     }},
    {"connect-zero",
     [](const Arguments &, Output &) {
       chi::Session session({"a\0b", 3});
     }},
    {"find-of",
     [](const Arguments &args, Output &out) {
       out.Add("major", chi::u64{CHI_IPC_MANAGER->FindPoolOf(args.at(0), args.at(1)).major_});
     }},
    {"unknown-method",
     [](const Arguments &, Output &) { SendPlain(Compressor().pool_id_, kNoMethod); }},
    {"unsupported", [](const Arguments &, Output &) { SendPlain(Throws(), Method::kUnsupported); }},
    {"throw", [](const Arguments &, Output &) { SendPlain(Throws(), Method::kThrow); }},
    {"throw-int", [](const Arguments &, Output &) { SendPlain(Throws(), Method::kThrowInt); }},
    {"sleep", [](const Arguments &args, Output &) { SendNumber(Method::kSleep, args.at(0)); }},
    {"yield", [](const Arguments &args, Output &) { SendNumber(Method::kYield, args.at(0)); }},
    {"echo", Echo},
    {"call", Call},
    {"nested", Nested},
    {"destroy-kv", [](const Arguments &, Output &) { Kv().Destroy(HSHM_MCTX); }},
    {"put",
     [](const Arguments &args, Output &out) {
       out.Add("replaced", chi::u64{Kv().Put(HSHM_MCTX, kQuery, args.at(0), args.at(1))});
     }},
    {"fill",
     [](const Arguments &args, Output &out) {
       const std::string value = Bytes(args.at(1));
       out.Add("replaced", chi::u64{Kv().Put(HSHM_MCTX, kQuery, args.at(0), value)});
     }},
    {"check",
     [](const Arguments &args, Output &out) {
       const std::string value = Kv().Get(HSHM_MCTX, kQuery, args.at(0));
       out.Add("equal", chi::u64{value == Bytes(args.at(1))});
     }},
    {"get", [](const Arguments &args,
               Output &out) { out.Add("value", Kv().Get(HSHM_MCTX, kQuery, args.at(0))); }},
    {"delete",
     [](const Arguments &args, Output &out) {
       out.Add("existed", chi::u64{Kv().Delete(HSHM_MCTX, kQuery, args.at(0))});
     }},
    {"scan",
     [](const Arguments &args, Output &out) {
       const chi::u64 limit = args.size() > 1 ? std::stoull(args[1]) : 0;
       out.Add("keys", Kv().Scan(HSHM_MCTX, kQuery, args.at(0), limit));
     }},
    {"count",
     [](const Arguments &, Output &out) { out.Add("count", Kv().Count(HSHM_MCTX, kQuery)); }},
};

/** Runs one command and prints its line. Returns false if the command is unknown. */
bool RunCommand(const Arguments &words) {
  const auto command = kCommands.find(words.empty() ? std::string() : words[0]);
  if (command == kCommands.end()) return false;
  Output out;
  try {
    command->second(Arguments(words.begin() + 1, words.end()), out);
    out.Print(words[0], CHI_OK, "");
  } catch (const chi::Error &error) {
    Output().Print(words[0], error.status(), error.what());
  } catch (const std::exception &) {
    return false; /* A missing argument, or one that is not a number. */
  }
  return true;
}

int Usage(const char *program) {
  std::fprintf(stderr, "usage: %s [--instance NAME] COMMAND [ARGUMENT...] [-- COMMAND...]...\n",
               program);
  for (const auto &command : kCommands) std::fprintf(stderr, "  %s\n", command.first.c_str());
  return 2;
}

}  // namespace

int main(int argc, char **argv) {
  Arguments words(argv + 1, argv + argc);
  std::string instance;
  if (words.size() >= 2 && words[0] == "--instance") {
    instance = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.empty()) return Usage(argv[0]);
  try {
    chi::Session session(instance);
    words.push_back("--");
    Arguments command;
    for (const std::string &word : words) {
      if (word != "--") {
        command.push_back(word);
      } else if (!RunCommand(command)) {
        return Usage(argv[0]);
      } else {
        command.clear();
      }
    }
  } catch (const chi::Error &error) {
    Output().Print("connect", error.status(), error.what());
    return 1;
  }
  return 0;
}
