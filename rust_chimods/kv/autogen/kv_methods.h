// clang-format off
/* The methods of chimaera:kv. Generated from chimaera_mod.yaml; do not edit. */
#ifndef CHIMAERA_KV_METHODS_H_
#define CHIMAERA_KV_METHODS_H_

#include "chimaera/chimaera.h"

namespace chimaera::kv {

/* Lets this module use Chimaera's names without their namespace; the module's own names take
 * precedence. */
using namespace chi::names;

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  CLS_CONST int kRecover = 3;
  /** Puts a value under a key. */
  CLS_CONST int kPut = 10;
  /** Gets the value of a key. */
  CLS_CONST int kGet = 11;
  /** Deletes a key. */
  CLS_CONST int kDelete = 12;
  /** Lists keys in order. */
  CLS_CONST int kScan = 13;
  /** Counts keys. */
  CLS_CONST int kCount = 14;
  /** Makes what was put and deleted durable. */
  CLS_CONST int kFlush = 15;
  /** Gets the size of the store and its counters. */
  CLS_CONST int kStats = 16;
  /** Shortens the file as far as its contents allow. */
  CLS_CONST int kCompact = 17;
};

}  // namespace chimaera::kv

#endif  // CHIMAERA_KV_METHODS_H_
