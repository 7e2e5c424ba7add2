/* The load client: many WebSocket readers in one thread. Commands come on stdin, one answer a line goes to stdout:
 *   open PORT CLIENTS SLOW SUBPROTOCOL|- PATH MESSAGE   connect, send MESSAGE, wait for each "ok"; the last SLOW can stall
 *   reset | stall | close | stats
 *   wait TICKS MS        until the reading clients have had TICKS each since the reset
 *   until SEQUENCE MS    until the reading clients are at SEQUENCE
 *   resume SEQUENCE MS   let the stalled ones read on; answers how much they read before SEQUENCE
 *   check PRICE...       how many clients hold another last price than these
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TOKENS = 4096, SCRATCH = 4 << 20, HISTOGRAM = 8000000, EVENTS = 256, WAVE = 64, SLOW_RECEIVE = 4096 };
enum { HEADER = 36, SNAPSHOT = 1 };
/* The nonce of RFC 6455's own example, so that the C server can answer it without SHA-1. */
#define NONCE "dGhlIHNhbXBsZSBub25jZQ=="

struct client {
    int fd, open, ready, slow, stalled, kept_length;
    uint8_t *kept;
    uint64_t sequence, frames, bytes;
    uint32_t price[TOKENS];
};

static struct client *clients;
static int count, ready, dead, epoll;
static uint64_t ticks, frames, bytes, gaps, worst;
static uint32_t *histogram;
static uint8_t scratch[SCRATCH];
static char message[65536], path[256], protocol[64];

static uint64_t microseconds(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static void say(const char *text) {
    puts(text);
    fflush(stdout);
}

static void note_latency(struct client *c, uint64_t published, uint64_t now) {
    if (c->slow || !published) return;
    uint64_t took = now > published ? now - published : 0;
    histogram[took < HISTOGRAM ? took : HISTOGRAM - 1]++;
    if (took > worst) worst = took;
}

static void on_binary(struct client *c, const uint8_t *p, size_t n, uint64_t now) {
    if (n < HEADER || p[0] != 0x54) return;
    uint16_t rows;
    uint64_t from, to, published;
    memcpy(&rows, p + 6, 2);
    memcpy(&from, p + 12, 8);
    memcpy(&to, p + 20, 8);
    memcpy(&published, p + 28, 8);
    size_t width = rows ? (n - HEADER) / rows : 0;
    for (size_t i = 0; i < rows; i++) {
        uint32_t pair[2];
        memcpy(pair, p + HEADER + i * width, 8);
        uint32_t slot = (pair[0] >> 8) - 1;
        if (slot < TOKENS) c->price[slot] = pair[1];
    }
    int first = p[2] == SNAPSHOT;
    if (!first && c->sequence && from != c->sequence) gaps++;
    c->sequence = to;
    if (first) return;
    note_latency(c, published, now);
    if (!c->slow) ticks += rows;
}

static double number_after(const char *text, size_t n, const char *key) {
    const char *found = memmem(text, n, key, strlen(key));
    return found ? strtod(found + strlen(key), NULL) : 0;
}

static void on_text(struct client *c, const uint8_t *p, size_t n, uint64_t now) {
    const char *text = (const char *)p;
    if (!c->ready && memmem(text, n, "\"ok\"", 4)) {
        c->ready = 1;
        ready++;
        return;
    }
    uint32_t token = number_after(text, n, "\"instrument_token\":");
    if (!token) return;
    uint32_t slot = (token >> 8) - 1;
    if (slot < TOKENS) c->price[slot] = number_after(text, n, "\"last_price\":") * 100 + 0.5;
    note_latency(c, number_after(text, n, "\"published_us\":"), now);
    if (!c->slow) ticks++;
}

static void lose(struct client *c) {
    if (c->fd < 0) return;
    close(c->fd);
    c->open = 0;
    c->fd = -1;
    dead++;
}

static void send_masked(struct client *c, int opcode, const void *payload, size_t n) {
    uint8_t head[8] = {0x80 | opcode, 0x80 | (n < 126 ? n : 126), n >> 8, n & 255};
    size_t length = n < 126 ? 2 : 4; /* the mask of four zeros follows */
    memset(head + length, 0, 4);
    if (send(c->fd, head, length + 4, MSG_NOSIGNAL | MSG_MORE) < 0 || send(c->fd, payload, n, MSG_NOSIGNAL) < 0) lose(c);
}

/* Return how much of the buffer was whole frames. */
static size_t parse(struct client *c, uint8_t *p, size_t n, uint64_t now) {
    size_t at = 0;
    while (n - at >= 2) {
        size_t length = p[at + 1] & 127, head = 2;
        if (length == 126) {
            if (n - at < 4) break;
            length = p[at + 2] << 8 | p[at + 3];
            head = 4;
        } else if (length == 127) {
            if (n - at < 10) break;
            length = 0;
            for (int i = 0; i < 8; i++) length = length << 8 | p[at + 2 + i];
            head = 10;
        }
        if (n - at < head + length) break;
        int opcode = p[at] & 15;
        const uint8_t *payload = p + at + head;
        at += head + length;
        if (opcode == 8) { lose(c); return n; }
        if (opcode == 9) { send_masked(c, 10, payload, length); continue; }
        frames++, c->frames++;
        c->bytes += head + length;
        if (opcode == 2) on_binary(c, payload, length, now);
        if (opcode == 1) on_text(c, payload, length, now);
    }
    return at;
}

static void on_readable(struct client *c) {
    memcpy(scratch, c->kept, c->kept_length);
    ssize_t got = recv(c->fd, scratch + c->kept_length, SCRATCH - c->kept_length - 1, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { lose(c); return; }
    bytes += got;
    size_t n = c->kept_length + got, used = 0;
    scratch[n] = 0;
    if (!c->open) {
        uint8_t *end = memmem(scratch, n, "\r\n\r\n", 4);
        if (end && memcmp(scratch, "HTTP/1.1 101", 12)) { lose(c); return; }
        if (end) {
            c->open = 1;
            used = end + 4 - scratch;
            send_masked(c, 1, message, strlen(message));
        }
    }
    if (c->open) used += parse(c, scratch + used, n - used, microseconds(CLOCK_REALTIME));
    c->kept_length = n - used;
    if (c->kept_length) {
        c->kept = realloc(c->kept, c->kept_length);
        memcpy(c->kept, scratch + used, c->kept_length);
    }
}

static void watch(struct client *c, int how) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, how, c->fd, &event);
}

static void step(int timeout) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, timeout);
    for (int i = 0; i < n; i++) on_readable(events[i].data.ptr);
}

static int connect_one(struct client *c, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, small = SLOW_RECEIVE;
    char request[1024];
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->slow) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) return -1;
    int n = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " NONCE "\r\n%s%s%s\r\n",
        path, port, *protocol ? "Sec-WebSocket-Protocol: " : "", protocol, *protocol ? "\r\n" : "");
    if (send(c->fd, request, n, MSG_NOSIGNAL) != n) return -1;
    watch(c, EPOLL_CTL_ADD);
    return 0;
}

static void open_all(const char *arguments) {
    int port, slow, used = 0;
    if (sscanf(arguments, "%d %d %d %63s %255s %n", &port, &count, &slow, protocol, path, &used) < 5) exit(2);
    if (!strcmp(protocol, "-")) *protocol = 0;
    snprintf(message, sizeof message, "%s", arguments + used);
    clients = calloc(count, sizeof *clients);
    ready = dead = 0;
    uint64_t end = microseconds(CLOCK_MONOTONIC) + 60000000;
    for (int i = 0; i < count; i++) {
        clients[i].slow = i >= count - slow;
        if (connect_one(&clients[i], port)) lose(&clients[i]);
        while (i + 1 - ready - dead >= WAVE && microseconds(CLOCK_MONOTONIC) < end) step(50);
    }
    while (ready + dead < count && microseconds(CLOCK_MONOTONIC) < end) step(50);
    printf("opened %d %d\n", ready, dead);
    fflush(stdout);
}

static void reset(void) {
    ticks = frames = bytes = gaps = worst = 0;
    memset(histogram, 0, HISTOGRAM * sizeof *histogram);
    for (int i = 0; i < count; i++) clients[i].frames = clients[i].bytes = 0;
    say("ok");
}

static void close_all(void) {
    for (int i = 0; i < count; i++) {
        if (clients[i].fd >= 0) close(clients[i].fd);
        free(clients[i].kept);
    }
    free(clients);
    clients = NULL;
    count = 0;
    say("ok");
}

static int reading(void) {
    int n = 0;
    for (int i = 0; i < count; i++) n += clients[i].fd >= 0 && !clients[i].slow;
    return n;
}

static int behind(uint64_t sequence, int slow) {
    for (int i = 0; i < count; i++)
        if (clients[i].fd >= 0 && clients[i].slow == slow && clients[i].sequence < sequence) return 1;
    return 0;
}

static void wait_ticks(uint64_t each, uint64_t timeout) {
    uint64_t goal = each * reading(), end = microseconds(CLOCK_MONOTONIC) + timeout * 1000;
    while (ticks < goal && microseconds(CLOCK_MONOTONIC) < end) step(20);
    say(ticks < goal ? "late" : "ok");
}

static void wait_sequence(uint64_t sequence, uint64_t timeout, int slow) {
    uint64_t end = microseconds(CLOCK_MONOTONIC) + timeout * 1000;
    while (behind(sequence, slow) && microseconds(CLOCK_MONOTONIC) < end) step(20);
    uint64_t most[2] = {0, 0};
    for (int i = 0; slow && i < count; i++) {
        if (!clients[i].slow || clients[i].bytes < most[1]) continue;
        most[0] = clients[i].frames, most[1] = clients[i].bytes;
    }
    printf("%s %lu %lu\n", behind(sequence, slow) ? "late" : "ok", most[0], most[1]);
    fflush(stdout);
}

static void stall(int on) {
    for (int i = 0; i < count; i++)
        if (clients[i].slow && clients[i].fd >= 0) watch(&clients[i], on ? EPOLL_CTL_DEL : EPOLL_CTL_ADD);
}

static void check(char *values) {
    int wrong = 0, slot = 0;
    char *state = NULL;
    uint32_t wanted[TOKENS];
    for (char *v = strtok_r(values, " \n", &state); v && slot < TOKENS; v = strtok_r(NULL, " \n", &state))
        wanted[slot++] = strtoul(v, NULL, 10);
    for (int i = 0; i < count; i++) wrong += memcmp(clients[i].price, wanted, slot * sizeof *wanted) != 0;
    printf("wrong %d\n", wrong);
    fflush(stdout);
}

static void stats(void) {
    uint64_t total = 0, seen = 0, at[2] = {0, 0};
    for (int i = 0; i < HISTOGRAM; i++) total += histogram[i];
    for (int i = 0; i < HISTOGRAM; i++) {
        seen += histogram[i];
        if (seen * 2 <= total) at[0] = i;
        if (seen * 100 <= total * 99) at[1] = i;
    }
    printf("{\"ticks\":%lu,\"frames\":%lu,\"bytes\":%lu,\"gaps\":%lu,\"lost_clients\":%d,"
           "\"p50_us\":%lu,\"p99_us\":%lu,\"max_us\":%lu}\n", ticks, frames, bytes, gaps, dead, at[0], at[1], worst);
    fflush(stdout);
}

static void obey(char *line) {
    uint64_t a = 0, b = 0;
    line[strcspn(line, "\n")] = 0;
    char *rest = strchr(line, ' ');
    if (rest) { *rest++ = 0; sscanf(rest, "%lu %lu", &a, &b); }
    if (!strcmp(line, "open")) open_all(rest);
    else if (!strcmp(line, "reset")) reset();
    else if (!strcmp(line, "close")) close_all();
    else if (!strcmp(line, "wait")) wait_ticks(a, b);
    else if (!strcmp(line, "until")) wait_sequence(a, b, 0);
    else if (!strcmp(line, "stall")) { stall(1); say("ok"); }
    else if (!strcmp(line, "resume")) { stall(0); wait_sequence(a, b, 1); }
    else if (!strcmp(line, "check")) check(rest);
    else if (!strcmp(line, "stats")) stats();
    else exit(2);
}

int main(void) {
    static char line[65536];
    size_t have = 0;
    epoll = epoll_create1(0);
    histogram = calloc(HISTOGRAM, sizeof *histogram);
    struct pollfd watched[2] = {{.fd = 0, .events = POLLIN}, {.fd = epoll, .events = POLLIN}};
    for (;;) {
        /* The sockets are read between the commands too. */
        poll(watched, 2, -1);
        if (watched[1].revents) step(0);
        if (!watched[0].revents) continue;
        ssize_t got = read(0, line + have, sizeof line - 1 - have);
        if (got <= 0) return 0;
        have += got;
        line[have] = 0;
        if (line[have - 1] != '\n') continue;
        have = 0;
        obey(line);
    }
}
