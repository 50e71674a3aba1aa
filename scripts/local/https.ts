/** https by the mirror itself, with the pair of files that its operator names, and with each that replaces it. */
import { type KeyPair, type KeyPairFiles, problemAt, shownCertificate, watchKeyPair } from "./certificate.ts";
import type { Message } from "./runtime.ts";
import { type TerminatorPaths, TlsTerminator } from "./tls-terminator.ts";

export class Https {
  /** As it was at the start. */
  readonly keyPair: KeyPair;
  readonly #files: KeyPairFiles;
  readonly #terminator: TlsTerminator;
  readonly #onMessage: (message: Message) => void;
  #unwatch: () => void = () => {};

  /**
   * Listens; connections wait for `serve`.
   * @param files where the next pair is expected.
   * @param keyPair what they have now.
   * @param address a name or address of this machine, and a port; 0 chooses any that is free.
   * @throws AddressError
   */
  static async listen(
    files: KeyPairFiles,
    keyPair: KeyPair,
    address: { host: string; port: number },
    onMessage: (message: Message) => void,
  ): Promise<Https> {
    return new Https(files, keyPair, await TlsTerminator.listen(address, onMessage), onMessage);
  }

  private constructor(
    files: KeyPairFiles,
    keyPair: KeyPair,
    terminator: TlsTerminator,
    onMessage: (message: Message) => void,
  ) {
    this.#files = files;
    this.keyPair = keyPair;
    this.#terminator = terminator;
    this.#onMessage = onMessage;
  }

  get port(): number {
    return this.#terminator.port;
  }

  /** How it ended, if it does so by itself. */
  get ended(): Promise<string> {
    return this.#terminator.ended;
  }

  /** Passes requests on to the mirror from now on. @throws Error if workerd can't use the pair. */
  async serve(paths: TerminatorPaths): Promise<void> {
    await this.#terminator.use(this.keyPair, paths);
    const problem = problemAt(new Date(), this.keyPair);
    if (problem !== null) {
      const remedy = "once the files have another, it is used without a restart";
      this.#say("warn", `clients refuse the certificate, since ${problem}; ${remedy}`);
    }
    this.#unwatch = watchKeyPair({
      files: this.#files,
      pair: this.keyPair,
      onPair: async (pair) => {
        await this.#terminator.use(pair, paths);
        this.#say("log", `new connections are served with the certificate for ${shownCertificate(pair)}`);
      },
      onProblem: (message) => this.#say("warn", `the certificate stays as it is: ${message}`),
    });
  }

  /** Accepts no more connections, waits at most `grace` milliseconds for responses in progress, and ends. */
  async stop(grace: number): Promise<void> {
    this.#unwatch();
    await this.#terminator.stop(grace);
  }

  #say(level: string, text: string): void {
    this.#onMessage({ from: "mirror", level, text });
  }
}
