/** Connections through a proxy, of whichever kind it is. */
import { type Dispatcher, ProxyAgent, Socks5ProxyAgent } from "undici";

/** Times in milliseconds. */
interface ConnectionOptions {
  bodyTimeout: number;
  headersTimeout: number;
  allowH2: boolean;
}

/**
 * Names are looked up by the proxy, whose operator decides what it may reach.
 * @param certificates authorities that are trusted for the registry behind the proxy, in PEM; the system's where left out.
 */
export function openProxy(proxy: URL, options: ConnectionOptions, certificates?: string[]): Dispatcher {
  const tls = certificates === undefined ? {} : { requestTls: { ca: certificates } };
  if (!proxy.protocol.startsWith("socks")) return new ProxyAgent({ ...options, ...tls, uri: proxy.href });
  // It lets the proxy look names up in any case, which is what socks5h means.
  const uri = new URL(proxy.href.replace(/^socks5h:/, "socks5:"));
  const { emitWarning } = process;
  // undici calls its SOCKS5 experimental on the user's terminal, who can't do anything about it.
  process.emitWarning = () => {};
  try {
    return new Socks5ProxyAgent(uri, { ...options, ...tls });
  } finally {
    process.emitWarning = emitWarning;
  }
}
