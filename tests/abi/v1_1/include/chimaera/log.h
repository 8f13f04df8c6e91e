/* The runtime's log, for modules. */
#ifndef CHIMAERA_LOG_H_
#define CHIMAERA_LOG_H_

#include <cstdarg>
#include <cstdio>
#include <string>

#include "chimaera/current.h"
#include "chimaera/types.h"

/** Writes a line to the runtime's log, with a format as for printf:
 * `CHI_LOG(kInfo, "pool %s has %u lanes", name, lanes);`. Any thread of a module. Constructors of
 * static objects run before the module knows its runtime: their lines go to standard error. */
#define CHI_LOG(LEVEL, ...) (::chi::Log(::chi::LogLevel::LEVEL, __VA_ARGS__))

namespace chi {
inline namespace v1 CHI_LAYER {

/** Severity of a log line. */
enum class LogLevel : u32 {
  /** An operation failed. */
  kError = CHI_LOG_ERROR,
  /** Something unexpected that did not make an operation fail. */
  kWarn = CHI_LOG_WARN,
  /** A normal event worth knowing. */
  kInfo = CHI_LOG_INFO,
  /** Details for the module's author. */
  kDebug = CHI_LOG_DEBUG,
};

/** See CHI_LOG. */
__attribute__((format(printf, 2, 3))) inline void Log(LogLevel level, const char *format, ...) {
  va_list args;
  va_start(args, format);
  va_list again;
  va_copy(again, args);
  const int length = std::vsnprintf(nullptr, 0, format, args);
  va_end(args);
  std::string line(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
  if (length > 0) std::vsnprintf(line.data(), line.size() + 1, format, again);
  va_end(again);
  const chi_host *host = detail::g_host;
  if (host == nullptr) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  host->log(host, static_cast<u32>(level), line.data(), line.size());
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_LOG_H_
