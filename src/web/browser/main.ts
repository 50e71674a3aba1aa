/** The pages' script. Everything that it adds is of use only with a script; without one, the pages are read and used as they are. */

import { pickClient } from "./clients.ts";
import { convertPasted } from "./convert.ts";
import { offerCopies } from "./copy.ts";
import { fillKey } from "./key.ts";
import { filterTags } from "./tags.ts";
import { chooseTheme } from "./theme.ts";

chooseTheme();
offerCopies(document);
convertPasted();
fillKey();
pickClient();
filterTags();
