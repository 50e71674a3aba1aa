/** Whether mirrors confirm one another's tags: all that can be known of them where the registry itself can't be reached. */
import { isIP } from "node:net";
import type { Measured } from "./rank.ts";

/** What a tag leads to on one or more mirrors. */
interface Variant {
  digest: string;
  /** When the image was made, in milliseconds since 1970; before all others where that isn't known. */
  made: number;
  /** Operators that have it, by their domains. */
  sites: Set<string>;
}

/** Enough operators that none decides alone what is taken for confirmed. */
const ENOUGH = 2;

/**
 * Fills `agrees` in: of what at least two operators' mirrors have under a tag, the newest is taken for what the registry has. It stays
 * null where the registry itself was consulted, and where no two operators have the same.
 */
export function withAgreement(measured: readonly Measured[]): Measured[] {
  const unjudged = measured.filter(({ problem, freshness }) => problem === null && freshness === null);
  const confirmed = new Map<string, string>();
  for (const image of new Set(unjudged.flatMap(({ tags }) => tags.map((tag) => tag.image)))) {
    const newest = [...variantsOf(image, unjudged)]
      .filter(({ sites }) => sites.size >= ENOUGH)
      .toSorted((one, other) => other.made - one.made || other.sites.size - one.sites.size)[0];
    if (newest) confirmed.set(image, newest.digest);
  }
  return measured.map((each) => {
    const judged = unjudged.includes(each) ? each.tags.filter(({ image }) => confirmed.has(image)) : [];
    if (judged.length === 0) return each;
    return { ...each, agrees: judged.every(({ image, digest }) => confirmed.get(image) === digest) };
  });
}

function variantsOf(image: string, measured: readonly Measured[]): Iterable<Variant> {
  const variants = new Map<string, Variant>();
  for (const { mirror, tags } of measured) {
    const tag = tags.find((each) => each.image === image);
    if (!tag) continue;
    const { digest, made } = tag;
    const variant = variants.get(digest) ?? {
      digest,
      made: made ?? Number.NEGATIVE_INFINITY,
      sites: new Set(),
    };
    variant.sites.add(siteOf(new URL(mirror.url)));
    variants.set(digest, variant);
  }
  return variants.values();
}

/** A domain without its subdomains, since one operator may have several mirrors; an address with its port. */
function siteOf({ hostname, host }: URL): string {
  const isAddress = isIP(hostname.replace(/^\[|\]$/g, "")) !== 0;
  return isAddress ? host : hostname.split(".").slice(-2).join(".");
}
