#include <cstdio>
#include <map>
#include <string>

#include "chimaera/chimaera.h"

/* Counts words, and writes them to a journal, which can have only one writer. */
class Runtime : public chi::ContainerRuntime {
 public:
  void Create(hipc::FullPtr<chi::CreateTask>, chi::RunContext &) { Open(); }

  /* Saves and loads: called for both. */
  template <typename Ar>
  void State(Ar &ar) {
    ar(total_, words_);    /* The fields 1 and 2. */
    ar.Field(5, longest_); /* 3 and 4 were those of older versions. */
  }

  /* Called after State has saved: gives up what a successor needs. */
  void Release() { Close(); }
  /* Called when the container goes on after all, even if it has given up nothing. */
  void Resume() {
    Close();
    Open();
  }

  /* Called on a successor that has another version than its predecessor. */
  void Upgrade(hipc::FullPtr<chi::UpgradeTask> task, chi::RunContext &) {
    const std::string old(task->old_version());
    CHI_LOG(kInfo, "%s goes on from version %s", pool_name_.c_str(), old.c_str());
    /* Version 1 had no field 5. */
    if (longest_.empty()) longest_ = Longest();
  }

  ~Runtime() override { Close(); }

 private:
  chi::u64 total_ = 0;
  std::map<std::string, chi::u64> words_;
  std::string longest_;
  std::FILE *journal_ = nullptr;

  void Open() {
    journal_ = std::fopen((pool_name_ + ".journal").c_str(), "ae");
    if (journal_ == nullptr) throw chi::Error(CHI_IO, "cannot open the journal");
  }

  void Close() {
    if (journal_ != nullptr) std::fclose(journal_);
    journal_ = nullptr;
  }

  std::string Longest() const {
    std::string longest;
    for (const auto &word : words_) {
      if (word.first.size() > longest.size()) longest = word.first;
    }
    return longest;
  }
};
