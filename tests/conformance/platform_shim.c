/* The platform of examples/bare_metal for a host: every access is a call that somebody else answers. */
#include "platform.h"

uint32_t (*shim_read_register)(uint32_t offset);
void (*shim_write_register)(uint32_t offset, uint32_t value);
void (*shim_to_memory)(uint64_t address, const void *data, size_t bytes);
void (*shim_from_memory)(void *data, uint64_t address, size_t bytes);

uint32_t platform_read_register(uint32_t offset)
{
    return shim_read_register(offset);
}

void platform_write_register(uint32_t offset, uint32_t value)
{
    shim_write_register(offset, value);
}

void platform_to_memory(uint64_t address, const void *data, size_t bytes)
{
    shim_to_memory(address, data, bytes);
}

void platform_from_memory(void *data, uint64_t address, size_t bytes)
{
    shim_from_memory(data, address, bytes);
}
