// Dies of an exception that nobody catches.
#include <cstring>
#include <exception>
#pragma GCC diagnostic ignored "-Wshadow" // struct and function of one name, as stat(2)
#include <knell/knell.h>
#include <stdexcept>
#include <unistd.h>

namespace plant
{
struct tank {
    virtual ~tank() = default;
    int level = 3;
};
// Not at the beginning of its object: what() needs the pointer adjusted.
struct pump_fail : tank, std::exception {
    const char *what() const noexcept override
    {
        return "virtual what";
    }
};
} // namespace plant

int main(int argc, char **argv)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    const char *how = argv[argc - 1];
    o.app = "victim_cxx";
    if (knell_start(&o))
        return 96;
    if (!std::strcmp(how, "number"))
        throw 42;
    if (!std::strcmp(how, "derived"))
        throw plant::pump_fail();
    if (!std::strcmp(how, "from_a_thread")) // as std::future::get() throws it
        std::rethrow_exception(
            std::make_exception_ptr(std::runtime_error("the pump is dry")));
    if (!std::strcmp(how, "rethrown")) {
        try {
            throw std::runtime_error("the pump is dry");
        } catch (const std::exception &) {
            throw;
        }
    }
    throw std::runtime_error("the pump is dry");
}
