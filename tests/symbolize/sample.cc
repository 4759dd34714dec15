// C++ with what makes names and chains hard: templates, lambdas, constructors, functions
// without linkage names, cold parts, and much inlining.
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace store {
template <class T> class row {
public:
    row() : items_(nullptr), n_(0), max_(0) {}
    row(const row &) = delete;
    ~row() { delete[] items_; }
    void add(const T &item)
    {
        if (n_ == max_)
            grow();
        items_[n_++] = item;
    }
    T &operator[](unsigned i) { return items_[check(i)]; }
    unsigned size() const { return n_; }
    template <class F> void each(F f)
    {
        for (unsigned i = 0; i < n_; i++)
            f(items_[i]);
    }
    template <class F> void sort(F before)
    {
        for (unsigned i = 1; i < n_; i++)
            for (unsigned k = i; k && before(items_[k], items_[k - 1]); k--)
                swap(items_[k], items_[k - 1]);
    }

private:
    static void swap(T &a, T &b)
    {
        T c = a;
        a = b;
        b = c;
    }
    unsigned check(unsigned i) const
    {
        if (i >= n_)
            throw i;
        return i;
    }
    void grow()
    {
        unsigned max = max_ ? 2 * max_ : 4;
        T *more = new T[max];
        for (unsigned i = 0; i < n_; i++)
            more[i] = items_[i];
        delete[] items_;
        items_ = more;
        max_ = max;
    }
    T *items_;
    unsigned n_, max_;
};
} // namespace store

namespace {
struct word {
    char text[16];
    unsigned weight;
    bool operator<(const word &o) const { return weight < o.weight; }
};

class shape {
public:
    explicit shape(unsigned n) : n_(n) { note("made", n); }
    virtual ~shape() { note("gone", n_); }
    virtual unsigned area() const = 0;

protected:
    static void note(const char *what, unsigned n)
    {
        if (getenv("SAMPLE_NOISE"))
            std::printf("%s %u\n", what, n);
    }
    unsigned n_;
};

class square : public shape {
public:
    using shape::shape;
    ~square() override { note("square", n_); }
    unsigned area() const override { return n_ * n_; }
};

class circle : public shape {
public:
    using shape::shape;
    unsigned area() const override { return 3 * n_ * n_ + twist(n_); }

private:
    static unsigned twist(unsigned n) { return n % 7 ? n >> 2 : twist(n + 1); }
};
} // namespace

namespace outer {
inline namespace v2 {
class counter {
public:
    struct state {
        unsigned hits, misses;
    };
    __attribute__((noinline)) counter(unsigned seed) : state_{seed, 0} { step(); }
    __attribute__((noinline)) ~counter() { std::printf("%u\n", state_.hits); }
    counter &operator+=(unsigned n)
    {
        auto add = [this](unsigned k) {
            if (k % 3)
                state_.hits += k;
            else
                state_.misses++;
        };
        for (unsigned i = 0; i < n; i++)
            add(i);
        return *this;
    }
    unsigned total() const { return state_.hits + state_.misses; }

private:
    void step() { state_.hits = state_.hits * 1103515245u + 12345; }
    state state_;
};
} // namespace v2
} // namespace outer

static unsigned weigh(const char *s)
{
    unsigned h = 5381;
    while (*s)
        h = h * 33 + static_cast<unsigned char>(*s++);
    return h;
}

static shape *pick(unsigned i)
{
    struct chooser {
        static shape *of(unsigned k)
        {
            if (k & 1)
                return new square(k);
            return new circle(k);
        }
    };
    return chooser::of(i);
}

template <unsigned N> struct fold {
    static unsigned over(const word &w) { return w.weight % N + fold<N - 1>::over(w); }
};
template <> struct fold<0> {
    static unsigned over(const word &) { return 0; }
};

int main(int argc, char **argv)
{
    store::row<word> words;
    for (int i = 0; i < argc; i++) {
        word w{};
        std::strncpy(w.text, argv[i], sizeof w.text - 1);
        w.weight = weigh(w.text);
        words.add(w);
    }
    words.sort([](const word &a, const word &b) { return a < b; });
    outer::counter c(static_cast<unsigned>(argc));
    words.each([&c](const word &w) {
        c += w.weight % 100;
        c += fold<12>::over(w);
    });
    unsigned sum = 0;
    for (unsigned i = 0; i < words.size(); i++) {
        shape *s = pick(words[i].weight);
        sum += s->area();
        delete s;
    }
    try {
        sum += words[1000].weight;
    } catch (unsigned missing) {
        sum += missing;
    }
    std::printf("%u %u\n", sum, c.total());
    return 0;
}
