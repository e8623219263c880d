// A link between two programs of this machine that can be slow, or break: what is sent to its ports goes on to where they lead.

import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'

export interface LinkOptions {
  /** Milliseconds that each byte takes, in either direction. */
  readonly delay?: number
  /** Bytes a second, in either direction, over all connections. */
  readonly rate?: number
}

export interface Link {
  /** Ports of the loopback, of the far end of each direction. */
  readonly ports: readonly [number, number]
  /** Ends the connections there are; later ones are let through. */
  drop(): void
  /** Ends the connections, and refuses later ones. */
  cut(): void
  /** Takes what is sent, and delivers nothing any more. */
  swallow(): void
  close(): Promise<void>
}

/**
 * A link between two programs that listen at ports of the loopback: the first reaches the second at `ports[0]`, the second the first at
 * `ports[1]`. Only whole chunks are delayed, and nothing of TCP is slow but the bytes.
 */
export async function openLink([first, second]: readonly [number, number], { delay = 0, rate = Infinity }: LinkOptions = {}): Promise<Link> {
  const sockets = new Set<Socket>()
  const state = { refuses: false, swallows: false }
  const directions = [new Direction(delay, rate, state), new Direction(delay, rate, state)] as const
  const [forth, back] = directions
  const servers = [serverTo(second, [forth, back]), serverTo(first, [back, forth])] as const

  function serverTo(port: number, [out, home]: readonly [Direction, Direction]): Server {
    return createServer((near) => {
      if (state.refuses) return void near.resetAndDestroy()
      const far = connect(port, '127.0.0.1')
      for (const [socket, other, direction] of [[near, far, out], [far, near, home]] as const) {
        sockets.add(socket)
        socket.setNoDelay(true)
        socket.on('error', () => other.destroy()).on('close', () => {
          sockets.delete(socket)
          other.destroySoon()
        })
        direction.carry(socket, other)
      }
    })
  }

  const drop = (): void => { for (const socket of sockets) socket.resetAndDestroy() }
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', done))))
  const [a, b] = servers.map((server) => (server.address() as AddressInfo).port)
  return {
    ports: [a ?? NaN, b ?? NaN],
    drop,
    cut() {
      state.refuses = true
      drop()
    },
    swallow() { state.swallows = true },
    async close() {
      drop()
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
    },
  }
}

/** Bytes under way after which a sender has to wait. */
const MOST_UNDER_WAY = 2 ** 22

/** One way of a link. */
class Direction {
  /** When the last byte has left the near end. */
  #free = 0
  readonly #delay: number
  readonly #rate: number
  readonly #state: { readonly swallows: boolean }

  constructor(delay: number, rate: number, state: { readonly swallows: boolean }) {
    this.#delay = delay
    this.#rate = rate
    this.#state = state
  }

  carry(from: Socket, to: Socket): void {
    const queue: Buffer[] = [] // timers do not always go off in the order of their times
    let underWay = 0
    from.on('data', (bytes: Buffer) => {
      if (this.#state.swallows) return
      const now = performance.now()
      this.#free = Math.max(this.#free, now) + (bytes.length / this.#rate) * 1000
      underWay += bytes.length
      queue.push(bytes)
      if (underWay > MOST_UNDER_WAY) from.pause()
      setTimeout(() => {
        const next = queue.shift() ?? bytes
        underWay -= next.length
        if (underWay <= MOST_UNDER_WAY) from.resume()
        if (!to.destroyed && !this.#state.swallows) to.write(next)
      }, this.#free + this.#delay - now)
    })
  }
}
