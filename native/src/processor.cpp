// Says which variant this machine can run. It is a library of its own, for any processor of the architecture.

extern "C" __attribute__((visibility("default"))) int fedau2_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) return 4;
  if (__builtin_cpu_supports("x86-64-v3")) return 3;
  if (__builtin_cpu_supports("x86-64-v2")) return 2;
#endif
  return 0;
}
