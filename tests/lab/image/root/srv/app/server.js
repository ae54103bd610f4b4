// Copyright: Contributors to the sre.bad_gateway project
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The smallest app: says which host answered, and for what.
const http = require('http')
const os = require('os')

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain')
  response.end(`${os.hostname()}: ${request.headers.host}${request.url}\n`)
})
server.listen(3000)
