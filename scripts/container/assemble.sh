#!/bin/sh
# Assembles a root file system for the container image: the project in /app with its production dependencies, Node.js, the shell
# that starts workerd, and the libraries that these three need.
# usage: assemble.sh APP FOLDER
set -eu
app=$1
root=$2

node "$app/scripts/container/bundle.ts"

mkdir -p "$root/app" "$root/bin" "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/tmp"
chmod 1777 "$root/tmp"
cp -R "$app/." "$root/app"
cd "$root/app"

# The Node.js that npm installed is the version that Portolan is tested with.
mv node_modules/node/bin/node "$root/usr/local/bin/node"
cp scripts/container/portolan.sh "$root/usr/local/bin/portolan"
chmod 755 "$root/usr/local/bin/portolan"
cp /bin/dash "$root/bin/sh"

# The bundler's work is done. Neither what workerd has for bundlers of its own nor types, source maps and readmes are read at run time.
rm -rf node_modules/node node_modules/esbuild node_modules/@esbuild node_modules/.bin node_modules/workerd/worker.mjs
find node_modules -type f \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.map' -o -iname '*.md' \) -delete

workerd=$(find node_modules/@cloudflare -path '*/bin/workerd' -type f)
strip --strip-all "$workerd" "$root/usr/local/bin/node"

for program in "$workerd" "$root/usr/local/bin/node" "$root/bin/sh"; do
  ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
done

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'portolan:x:65532:65532::/data:/bin/sh' >"$root/etc/passwd"
echo 'portolan:x:65532:' >"$root/etc/group"
