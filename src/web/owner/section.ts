/** What every section of the owner's page is given. */
import type { Context } from "hono";
import type { Child } from "hono/jsx";
import type { Config } from "../../config.ts";
import type { Parts } from "../../ledger/parts.ts";
import type { RemovalServices } from "../../ledger/removal.ts";
import type { AdminServices } from "../../ledger/routes.ts";
import type { Visit } from "../site.ts";

export type OwnerServices = AdminServices & RemovalServices & { config: Config };

export interface SectionRequest {
  services: OwnerServices;
  visit: Visit;
  c: Context;
  /** What can't be read is named on top of the page, and the rest is shown. */
  parts: Parts;
}

export type SectionView = (request: SectionRequest) => Promise<Child>;

/** The sections in the order of the menu, by the end of their paths. */
export const SECTIONS = ["overview", "store", "tags", "keys", "hosted"] as const;
export type SectionName = (typeof SECTIONS)[number];

export function pathOf(name: SectionName): string {
  return name === "overview" ? "/_/owner" : `/_/owner/${name}`;
}
