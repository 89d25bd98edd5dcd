#include "abi.h"

std::int32_t fedau2_abi() { return 3; }
