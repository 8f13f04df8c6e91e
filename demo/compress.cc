/* The demo's C++ program: compresses pieces of files with example:mod_name, and checks that they
 * decompress to the same bytes.
 *
 *     demo_compress INSTANCE DIRECTORY RECORDS < PIECES
 *
 * A piece is five words, each terminated by a zero byte: the file's number, the offset, the size
 * (both in bytes), and the path below DIRECTORY. Compressed pieces are written to the file RECORDS.
 * Lines on standard output report each task, and files that cannot be read. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "mod_name/mod_name_client.h"
#include "record.h"

namespace {

using example::mod_name::Client;

/** A file that cannot be read, and the reason. */
struct Unreadable {
  std::string reason;
};

/** A piece of a file as it is now. */
struct Piece {
  std::string bytes;
  chi::u64 modified_ns = 0;
};

/** A descriptor that is closed at the end of a scope. */
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  operator int() const { return fd_; }

 private:
  int fd_;
};

Piece Read(const std::string &path, chi::u64 offset, chi::u64 size) {
  /* The file may have been replaced since it was listed: a FIFO must not block, and a link must not
   * lead elsewhere. */
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) throw Unreadable{std::strerror(errno)};
  if (!S_ISREG(status.st_mode)) throw Unreadable{"no longer a regular file"};
  Piece piece;
  piece.modified_ns =
      chi::u64(status.st_mtim.tv_sec) * 1000000000 + chi::u64(status.st_mtim.tv_nsec);
  piece.bytes.resize(size);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = pread(fd, piece.bytes.data() + done, size - done, off_t(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Unreadable{std::strerror(errno)};
    if (n == 0) break;
    done += std::size_t(n);
  }
  piece.bytes.resize(done);
  return piece;
}

/** Runs a call, and prints a line with the bytes in, the bytes out and the time it took. */
template <typename CallT>
std::string Timed(const char *what, const std::string &in, CallT &&call) {
  const auto begin = std::chrono::steady_clock::now();
  std::string out = call(in);
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
  std::printf("task %s %zu %zu %lld\n", what, in.size(), out.size(),
              static_cast<long long>(took.count()));
  return out;
}

/** Compresses one piece and writes its record. Returns false if it did not decompress to the same
 * bytes. */
bool Handle(const Client &client, std::ostream &records, const std::string &directory,
            chi::u64 file, chi::u64 offset, chi::u64 size, const std::string &path) {
  const chi::DomainQuery query = chi::DomainQuery::Dynamic();
  const Piece piece = Read(directory + "/" + path, offset, size);
  Client compressor = client;
  const std::string frame = Timed("compress", piece.bytes, [&](const std::string &bytes) {
    return compressor.Compress(HSHM_MCTX, query, bytes);
  });
  const std::string again = Timed("decompress", frame, [&](const std::string &bytes) {
    return compressor.Decompress(HSHM_MCTX, query, bytes, piece.bytes.size());
  });
  const demo_record record{file,        offset,      piece.bytes.size(), piece.modified_ns,
                           path.size(), frame.size()};
  records.write(reinterpret_cast<const char *>(&record), sizeof(record));
  records << path << frame;
  return again == piece.bytes;
}

int Run(const std::string &instance, const std::string &directory, const char *records_path) {
  std::ofstream records(records_path, std::ios::binary);
  records.exceptions(std::ios::badbit | std::ios::failbit);
  chi::Session session(instance);
  Client client;
  client.Create(HSHM_MCTX, "demo_compressor");

  int result = 0;
  std::string file, offset, size, path;
  while (std::getline(std::cin, file, '\0') && std::getline(std::cin, offset, '\0') &&
         std::getline(std::cin, size, '\0') && std::getline(std::cin, path, '\0')) {
    try {
      if (!Handle(client, records, directory, std::stoull(file), std::stoull(offset),
                  std::stoull(size), path)) {
        std::printf("mismatch %s\n", file.c_str());
        result = 1;
      }
    } catch (const Unreadable &error) {
      std::printf("skip %s %s\n", file.c_str(), error.reason.c_str());
    }
  }
  records.close();
  return result;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s INSTANCE DIRECTORY RECORDS < PIECES\n", argv[0]);
    return 2;
  }
  try {
    return Run(argv[1], argv[2], argv[3]);
  } catch (const chi::Error &error) {
    std::fprintf(stderr, "%s: %s (%s)\n", argv[0], error.what(), chi::StatusName(error.status()));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s: %s: %s\n", argv[0], argv[3], error.what());
  }
  return 1;
}
